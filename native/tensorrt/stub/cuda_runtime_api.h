#pragma once

/*
 * TensorRT's headers include the CUDA toolkit's file of this name for two types alone. The types are given here, so that no toolkit
 * is needed to build; a program that has the real file must not see this one.
 */
typedef struct CUstream_st* cudaStream_t;
typedef struct CUevent_st* cudaEvent_t;
