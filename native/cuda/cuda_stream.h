#pragma once

#include <cstddef>

#include "cuda_driver.h"

namespace redux {

/** An ordered queue of the GPU's work. */
class CudaStream {
 public:
  explicit CudaStream(Cuda cuda);
  ~CudaStream();
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;

  CUstream get() const {
    return stream_;
  }
  /** Waits until all work given to the stream is done. */
  void Wait() const;
  /** The copies are queued; from or to pageable memory the call itself may wait. */
  void Upload(CUdeviceptr to, const void* from, std::size_t bytes) const;
  void Download(void* to, CUdeviceptr from, std::size_t bytes) const;
  void Copy(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) const;
  void Clear(CUdeviceptr to, std::size_t bytes) const;

 private:
  Cuda cuda_;
  CUstream stream_ = nullptr;
};

/** A point in a stream's work, for measuring the time between two. */
class CudaEvent {
 public:
  explicit CudaEvent(Cuda cuda);
  ~CudaEvent();
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;

  void Record(const CudaStream& stream) const;
  void Wait() const;
  /** Milliseconds from `start` to this one; both must have been reached. */
  float Since(const CudaEvent& start) const;

 private:
  Cuda cuda_;
  CUevent event_ = nullptr;
};

/** Work captured from a stream. */
class CapturedGraph {
 public:
  /** Begins capturing what the calling thread gives to the stream. */
  static void Begin(const Cuda& cuda, const CudaStream& stream);
  /** Ends the capture; throws where something made it invalid. The stream can be used again in either case. */
  CapturedGraph(Cuda cuda, const CudaStream& stream);
  ~CapturedGraph();
  CapturedGraph(const CapturedGraph&) = delete;
  CapturedGraph& operator=(const CapturedGraph&) = delete;

  CUgraph get() const {
    return graph_;
  }

 private:
  Cuda cuda_;
  CUgraph graph_ = nullptr;
};

/** A captured graph made ready to be launched as a whole. */
class CudaGraph {
 public:
  CudaGraph(Cuda cuda, const CapturedGraph& captured);
  ~CudaGraph();
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  /** Takes over the parameters of a graph of the same nodes. False: it has others, and this graph must not be launched any more. */
  bool Update(const CapturedGraph& captured);
  void Launch(const CudaStream& stream) const;

 private:
  Cuda cuda_;
  CUgraphExec executable_ = nullptr;
};

}  // namespace redux
