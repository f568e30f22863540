#pragma once

#include <list>
#include <string>

#include "engine_run.h"

namespace redux {

/**
 * The ways of running an engine with the last few sets of input sizes. Each has an execution context of its own, because a captured graph
 * must not be launched once its context has taken other sizes; they share their scratch memory, so all must run in one stream.
 */
class EngineRuns {
 public:
  /** The engine and the logger must outlive it. */
  EngineRuns(const Engine& engine, Logger& logger);

  /** A run that is prepared for these sizes; valid until the next call. Waits for the stream where it is another one than last time. */
  EngineRun& For(const InputShapes& shapes, const CudaStream& stream);
  /** To be called when the engine's weights have changed. */
  void WeightsChanged();
  /** Why runs of some size are not launched as CUDA graphs; empty where nothing keeps them from it. */
  std::string GraphProblem() const;
  std::size_t ScratchBytes() const {
    return scratch_.bytes();
  }
  std::size_t BufferBytes() const;

 private:
  const Engine& engine_;
  Logger& logger_;
  const DeviceBuffer scratch_;
  /** The one that was used last stands first. */
  std::list<EngineRun> runs_;
};

}  // namespace redux
