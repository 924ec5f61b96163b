// The surroundings of dnnzip_array_harness.sv: a memory image, a program, vectors of activations, sums.
//
// Job file, little-endian uint64: patience, pauses (the seed of the pauses on all streams, or 0 for none), bytes per
// bus word's worth of cycles (see Memory), latency, resets after (a cycle, or 0 for none), cycles of that reset, walks,
// runs, vectors, sums, image bytes; then the walks (uint32), the runs (uint64), the vectors (columns bytes each), the image.
// Result file: uint64 cycles until the last that happened, double seconds, uint32 figures; per run uint64 {first, last}: the cycles of
// its first and last vector; then the sums, int32, rows of each vector. Failure file: one line, there only where the
// run failed.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "pauses.h"
#include "svdpi.h"

namespace {

constexpr size_t kFigures = 8;
constexpr uint64_t kQuietCycles = 64;  // after the last result nothing else may come

struct Job {
    uint64_t patience, pauses, bytes_per_cycle, latency, reset_after, reset_cycles, walks, runs, vectors, sums, image;
};

struct Burst {
    uint64_t address, beats, ready;
};

struct State {
    Job job;
    std::vector<uint32_t> walks;
    std::vector<uint64_t> runs;
    std::vector<uint8_t> vectors, image;
    std::vector<uint64_t> times;  // first and last cycle of each run
    std::vector<int32_t> sums;
    std::string result_path, failure_path;
    size_t columns = 0, rows = 0, bus_bytes = 0;

    uint64_t cycle = 0, last_progress = 0;
    size_t walk = 0, run = 0, vector = 0;  // the next of each
    size_t run_of_vector = 0;              // the run that the next vector belongs to
    uint64_t vectors_of_run = 0;           // of that run, how many have gone
    uint64_t given = 0;                    // vectors of sums
    // The memory gives `bytes_per_cycle` bytes a cycle: a bus word goes once that many have been saved up.
    std::deque<Burst> bursts;
    uint64_t saved = 0;
    uint64_t data_address = 0;
    bool offers_walk = false, offers_run = false, offers_vector = false, offers_data = false, takes_sums = true;
    bool takes_burst = true;
    Random random;
    Pauses walk_pauses, run_pauses, vector_pauses, burst_pauses, data_pauses, sums_pauses;
    uint64_t reset_left = 0;
    bool was_reset = false, finished = false;
    uint32_t figures[kFigures] = {};
    std::chrono::steady_clock::time_point begun;
};

State state;

[[noreturn]] void stop(const std::string& what) {
    std::fprintf(stderr, "dnnzip_array_harness: %s\n", what.c_str());
    std::exit(1);
}

FILE* opened(const std::string& path, const char* mode) {
    FILE* file = std::fopen(path.c_str(), mode);
    if (!file) stop("cannot open " + path);
    return file;
}

template <typename T>
void read(FILE* file, std::vector<T>& into, size_t count, const std::string& path) {
    into.resize(count);
    if (std::fread(into.data(), sizeof(T), count, file) != count) stop(path + " is too short");
}

template <typename T>
void write(FILE* file, const T* from, size_t count) {
    if (std::fwrite(from, sizeof(T), count, file) != count) stop("cannot write " + state.result_path);
}

void finish() {
    state.finished = true;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - state.begun).count();
    FILE* file = opened(state.result_path, "wb");
    const uint64_t cycles = state.last_progress + 1;
    write(file, &cycles, 1);
    write(file, &seconds, 1);
    write(file, state.figures, kFigures);
    write(file, state.times.data(), state.times.size());
    write(file, state.sums.data(), state.sums.size());
    if (std::fclose(file)) stop("cannot write " + state.result_path);
}

bool fail(const std::string& what) {
    finish();
    FILE* file = opened(state.failure_path, "wb");
    std::fprintf(file, "%s\n", what.c_str());
    if (std::fclose(file)) stop("cannot write " + state.failure_path);
    return true;
}

// The program from its beginning; the memory forgets its bursts.
void rewind_program() {
    state.walk = state.run = state.vector = state.run_of_vector = 0;
    state.vectors_of_run = state.given = state.saved = 0;
    state.bursts.clear();
    state.sums.clear();
    state.offers_walk = state.offers_run = state.offers_vector = state.offers_data = false;
    state.takes_sums = state.takes_burst = true;
}

// Count a vector that went into the array, and when its run began and ended.
void count_vector() {
    const uint64_t length = state.runs[state.run_of_vector] & 0xFFFF;
    if (state.vectors_of_run == 0) state.times[2 * state.run_of_vector] = state.cycle;
    if (++state.vectors_of_run == length) {
        state.times[2 * state.run_of_vector + 1] = state.cycle;
        ++state.run_of_vector;
        state.vectors_of_run = 0;
    }
}

}  // namespace

extern "C" void array_open(const char* job, const char* result, const char* failure, int columns, int rows,
                           int bus_bits) {
    state.result_path = result;
    state.failure_path = failure;
    state.columns = columns;
    state.rows = rows;
    state.bus_bytes = bus_bits / 8;
    FILE* file = opened(job, "rb");
    if (std::fread(&state.job, sizeof state.job, 1, file) != 1) stop(std::string(job) + " is too short");
    read(file, state.walks, state.job.walks, job);
    read(file, state.runs, state.job.runs, job);
    read(file, state.vectors, state.job.vectors * columns, job);
    read(file, state.image, state.job.image, job);
    std::fclose(file);
    state.times.resize(2 * state.runs.size());
    state.sums.reserve(state.job.sums * rows);
    state.random.state = state.job.pauses;
    state.begun = std::chrono::steady_clock::now();
}

extern "C" void array_vector(svBitVecVal* vector) {
    std::memcpy(vector, &state.vectors[state.vector * state.columns], state.columns);
}

extern "C" void array_data(svBitVecVal* data) {
    std::memset(data, 0, std::max<size_t>(4, state.bus_bytes));
    std::memcpy(data, &state.image[state.data_address], state.bus_bytes);
}

extern "C" void array_sums(const svBitVecVal* sums) {
    state.sums.insert(state.sums.end(), sums, sums + state.rows);
    ++state.given;
}

extern "C" void array_cycle(svBit walk_taken, svBit run_taken, svBit vector_taken, svBit burst_taken, unsigned address,
                            unsigned char length, svBit data_taken, svBit sums_valid, unsigned char trouble,
                            const svBitVecVal* figures, svBit* walk_valid, unsigned* walk, svBit* run_valid,
                            unsigned long long* run, svBit* vector_valid, svBit* burst_ready, svBit* data_valid,
                            svBit* data_last, svBit* sums_ready, svBit* reset, svBit* done, svBit* failed) {
    *walk_valid = *run_valid = *vector_valid = *burst_ready = *data_valid = *data_last = *sums_ready = *reset = 0;
    *walk = 0;
    *run = 0;
    *failed = 0;
    *done = state.finished;
    if (state.finished) return;
    if (state.reset_left) {
        *reset = --state.reset_left != 0;
        ++state.cycle;
        if (*reset) return;
        walk_taken = run_taken = vector_taken = burst_taken = data_taken = sums_valid = 0;
        trouble = 0;
        rewind_program();
        state.last_progress = state.cycle;
    } else if (state.job.reset_after && !state.was_reset && state.cycle >= state.job.reset_after) {
        state.was_reset = true;
        state.reset_left = state.job.reset_cycles;
        *reset = 1;
        ++state.cycle;
        return;
    }
    if (walk_taken) ++state.walk, state.offers_walk = false;
    if (run_taken) ++state.run, state.offers_run = false;
    if (vector_taken) {
        count_vector();
        ++state.vector;
        state.offers_vector = false;
    }
    if (data_taken) {
        Burst& burst = state.bursts.front();
        burst.address += state.bus_bytes;
        if (--burst.beats == 0) state.bursts.pop_front();
        state.offers_data = false;
    }
    if (burst_taken) {
        const uint64_t beats = uint64_t(length) + 1, end = address + beats * state.bus_bytes;
        if (address % state.bus_bytes || address / 4096 != (end - 1) / 4096)
            *failed = fail("a burst of " + std::to_string(beats) + " beats from " + std::to_string(address) +
                           " leaves its page or is not aligned");
        else if (end > state.image.size())
            *failed = fail("a burst reads past the image, to " + std::to_string(end));
        else
            state.bursts.push_back({address, beats, state.cycle + state.job.latency});
    }
    const bool progress = walk_taken || run_taken || vector_taken || burst_taken || data_taken ||
                          (sums_valid && state.takes_sums);
    if (progress) state.last_progress = state.cycle;
    const uint64_t quiet = state.cycle - state.last_progress;
    const bool complete = state.walk == state.walks.size() && state.run == state.runs.size() &&
                          state.vector == state.job.vectors && state.given == state.job.sums;
    std::copy(figures, figures + kFigures, state.figures);
    if (!*failed && state.given > state.job.sums) *failed = fail("more sums came than the program gives");
    if (!*failed && trouble) {
        const char* what = trouble >= 128 ? "the memory answered with an error"
                           : trouble >= 64 ? "walks stopped with fault "
                                           : "a group's weights are not to be used, cause ";
        *failed = fail(what + (trouble >= 128 ? std::string() : std::to_string(trouble % 64)));
    }
    if (!*failed && complete && quiet >= kQuietCycles) finish();
    if (!*failed && !complete && quiet >= state.job.patience)
        *failed = fail("hangs: walk " + std::to_string(state.walk) + ", run " + std::to_string(state.run) + " of " +
                       std::to_string(state.runs.size()) + ", vector " + std::to_string(state.vector) + ", sums " +
                       std::to_string(state.given));
    ++state.cycle;
    *done = state.finished;

    // What is offered next; what was offered and not taken stays.
    const bool pauses = state.job.pauses != 0;
    Random& random = state.random;
    state.saved = std::min(state.saved + state.job.bytes_per_cycle, 2 * state.bus_bytes);
    state.offers_walk |= !pauses || !state.walk_pauses.next(random);
    state.offers_run |= !pauses || !state.run_pauses.next(random);
    state.offers_vector |= !pauses || !state.vector_pauses.next(random);
    if (!state.offers_data && !state.bursts.empty() && state.bursts.front().ready <= state.cycle &&
        state.saved >= state.bus_bytes && !(pauses && state.data_pauses.next(random))) {
        state.offers_data = true;
        state.saved -= state.bus_bytes;
        state.data_address = state.bursts.front().address;
    }
    state.takes_sums = !pauses || !state.sums_pauses.next(random);
    state.takes_burst = !pauses || !state.burst_pauses.next(random);
    *walk_valid = state.offers_walk && state.walk < state.walks.size();
    if (*walk_valid) *walk = state.walks[state.walk];
    *run_valid = state.offers_run && state.run < state.runs.size();
    if (*run_valid) *run = state.runs[state.run];
    *vector_valid = state.offers_vector && state.vector < state.job.vectors;
    *burst_ready = state.takes_burst;
    *data_valid = state.offers_data;
    *data_last = state.offers_data && state.bursts.front().beats == 1;
    *sums_ready = state.takes_sums;
}
