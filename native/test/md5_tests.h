#pragma once

void TestMd5OfKnownMessages();
void TestMd5OfEveryKernelSet();
void TestNonFiniteCounts();
void TestDigestErrorsAndCancel();
