#include "cuda_stream.h"

#include <utility>

namespace redux {

CudaStream::CudaStream(Cuda cuda) : cuda_(std::move(cuda)) {
  cuda_->Check(cuda_->StreamCreate(&stream_, kStreamNonBlocking), "making a stream");
}

CudaStream::~CudaStream() {
  if (stream_) cuda_->StreamDestroy(stream_);
}

void CudaStream::Wait() const {
  cuda_->Check(cuda_->StreamSynchronize(stream_), "waiting for its work");
}

void CudaStream::Upload(CUdeviceptr to, const void* from, std::size_t bytes) const {
  cuda_->Check(cuda_->MemcpyHtoDAsync(to, from, bytes, stream_), "copying to it");
}

void CudaStream::Download(void* to, CUdeviceptr from, std::size_t bytes) const {
  cuda_->Check(cuda_->MemcpyDtoHAsync(to, from, bytes, stream_), "copying from it");
}

void CudaStream::Copy(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) const {
  cuda_->Check(cuda_->MemcpyDtoDAsync(to, from, bytes, stream_), "copying within it");
}

void CudaStream::Clear(CUdeviceptr to, std::size_t bytes) const {
  cuda_->Check(cuda_->MemsetD8Async(to, 0, bytes, stream_), "clearing memory");
}

CudaEvent::CudaEvent(Cuda cuda) : cuda_(std::move(cuda)) {
  cuda_->Check(cuda_->EventCreate(&event_, 0), "making an event");
}

CudaEvent::~CudaEvent() {
  if (event_) cuda_->EventDestroy(event_);
}

void CudaEvent::Record(const CudaStream& stream) const {
  cuda_->Check(cuda_->EventRecord(event_, stream.get()), "recording an event");
}

void CudaEvent::Wait() const {
  cuda_->Check(cuda_->EventSynchronize(event_), "waiting for its work");
}

float CudaEvent::Since(const CudaEvent& start) const {
  float milliseconds = 0;
  cuda_->Check(cuda_->EventElapsedTime(&milliseconds, start.event_, event_), "reading the time between two events");
  return milliseconds;
}

void CapturedGraph::Begin(const Cuda& cuda, const CudaStream& stream) {
  cuda->Check(cuda->StreamBeginCapture(stream.get(), kCaptureThreadLocal), "beginning to capture a graph");
}

CapturedGraph::CapturedGraph(Cuda cuda, const CudaStream& stream) : cuda_(std::move(cuda)) {
  cuda_->Check(cuda_->StreamEndCapture(stream.get(), &graph_), "capturing a graph");
}

CapturedGraph::~CapturedGraph() {
  if (graph_) cuda_->GraphDestroy(graph_);
}

CudaGraph::CudaGraph(Cuda cuda, const CapturedGraph& captured) : cuda_(std::move(cuda)) {
  cuda_->Check(cuda_->GraphInstantiate(&executable_, captured.get(), 0), "making a graph ready");
}

CudaGraph::~CudaGraph() {
  if (executable_) cuda_->GraphExecDestroy(executable_);
}

bool CudaGraph::Update(const CapturedGraph& captured) {
  void* node = nullptr;
  int reason = 0;
  return cuda_->GraphExecUpdate(executable_, captured.get(), &node, &reason) == kCudaSuccess;
}

void CudaGraph::Launch(const CudaStream& stream) const {
  cuda_->Check(cuda_->GraphLaunch(executable_, stream.get()), "launching a graph");
}

}  // namespace redux
