// The memories of dnnzip_harness.sv: words of streams in, weights and verdicts out.
//
// Job file, little-endian: uint64 number of streams, uint64 words of each, uint64 number of resets, uint64 {streams,
// after, cycles} of each, then the words (uint16) of the streams back to back. A reset is given `after` cycles
// since the one before it, or soon after the end of all `streams` that come before it, for `cycles` cycles; what is
// left of those streams is never offered.
// Result file: uint64 clock cycles, double seconds, then per stream uint64 {begin, end, weights, verdict}: the cycle in
// which its first word was taken and the one in which its end beat was given, or the reset that came before: then the
// verdict is kCut. A stream of which no word was taken begins with its end. Weights file: int16, the weights of all
// beats in order, idle lanes left out. Failure file: one line, there only where the run failed.

#include <algorithm>
#include <chrono>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "pauses.h"
#include "svdpi.h"

namespace {

// Cycles without another beat that must pass after the last end beat.
constexpr uint64_t kQuietCycles = 64;
constexpr size_t kFlushWeights = 1 << 16;

// Instead of the verdict of a stream that a reset cut off.
constexpr uint64_t kCut = 255;

struct Reset {
    uint64_t streams, after, cycles;
};

struct Outcome {
    uint64_t begin, end, weights, verdict;
};

struct Memory {
    std::vector<uint64_t> lengths;
    std::vector<uint16_t> words;
    std::vector<Outcome> outcomes;
    std::vector<uint64_t> begins;  // of the streams whose first word was taken
    std::vector<int16_t> weights;  // not yet written
    std::string result_path, failure_path;
    FILE* weights_file = nullptr;
    int lanes = 0, weight_bits = 0, cause_bits = 0;
    uint64_t patience = 0;
    uint64_t cycle = 0, last_progress = 0;
    uint64_t next_word = 0;     // index of the word on offer, over all streams
    uint64_t stream = 0;        // which stream that word belongs to
    uint64_t left = 0;          // words of that stream that were not taken yet
    uint64_t stream_weights = 0;
    bool finished = false;
    std::vector<Reset> resets;
    size_t next_reset = 0;
    uint64_t group_begin = 0;   // when the last reset ended
    uint64_t reset_left = 0;    // cycles of a reset that go on
    bool with_pauses = false, offers = false, ready = true;
    Random random;
    Pauses source, sink;
    std::vector<svBitVecVal> held;  // a beat that waits
    bool holds = false;
    std::chrono::steady_clock::time_point begun;
};

Memory memory;

[[noreturn]] void stop(const std::string& what) {
    std::fprintf(stderr, "dnnzip_harness: %s\n", what.c_str());
    std::exit(1);
}

FILE* opened(const std::string& path, const char* mode) {
    FILE* file = std::fopen(path.c_str(), mode);
    if (!file) stop("cannot open " + path);
    return file;
}

template <typename T>
void read(FILE* file, T* into, size_t count, const std::string& path) {
    if (std::fread(into, sizeof(T), count, file) != count) stop(path + " is too short");
}

template <typename T>
void write(FILE* file, const T* from, size_t count, const std::string& path) {
    if (std::fwrite(from, sizeof(T), count, file) != count) stop("cannot write " + path);
}

void flush_weights() {
    write(memory.weights_file, memory.weights.data(), memory.weights.size(), "the weights file");
    memory.weights.clear();
}

void finish() {
    memory.finished = true;
    flush_weights();
    if (std::fclose(memory.weights_file)) stop("cannot write the weights file");
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - memory.begun).count();
    FILE* file = opened(memory.result_path, "wb");
    write(file, &memory.cycle, 1, memory.result_path);
    write(file, &seconds, 1, memory.result_path);
    write(file, memory.outcomes.data(), memory.outcomes.size(), memory.result_path);
    if (std::fclose(file)) stop("cannot write " + memory.result_path);
}

bool fail(const std::string& what) {
    finish();
    FILE* file = opened(memory.failure_path, "wb");
    std::fprintf(file, "%s\n", what.c_str());
    if (std::fclose(file)) stop("cannot write " + memory.failure_path);
    return true;
}

std::string name(uint64_t stream) {
    return "stream " + std::to_string(stream) + " of " + std::to_string(memory.lengths.size());
}

// `width` <= 16 bits of `vector` from bit `offset` on.
uint32_t bits(const svBitVecVal* vector, int offset, int width) {
    uint64_t pair = vector[offset / 32] >> offset % 32;
    if (offset % 32 + width > 32) pair |= uint64_t(vector[offset / 32 + 1]) << (32 - offset % 32);
    return pair & ((1u << width) - 1);
}

// The streams that are offered before the next reset.
uint64_t group_end() {
    return memory.next_reset < memory.resets.size() ? memory.resets[memory.next_reset].streams : memory.lengths.size();
}

// Check that a beat which had to wait is the same as before, and note whether it waits.
bool watch_beat(bool valid, const svBitVecVal* beat) {
    const size_t size = (memory.lanes * (memory.weight_bits + 1) + 1 + memory.cause_bits + 31) / 32;
    if (memory.holds && (!valid || !std::equal(beat, beat + size, memory.held.begin())))
        return fail("a beat of " + name(memory.outcomes.size()) + " changed before it was taken");
    memory.holds = valid && !memory.ready;
    if (memory.holds) memory.held.assign(beat, beat + size);
    return false;
}

// Begin the reset that is due: what was not offered or has not ended is cut off.
void begin_reset() {
    const Reset& reset = memory.resets[memory.next_reset++];
    while (memory.outcomes.size() < reset.streams) {
        if (memory.begins.size() == memory.outcomes.size()) memory.begins.push_back(memory.cycle);
        memory.outcomes.push_back(
            {memory.begins[memory.outcomes.size()], memory.cycle, memory.stream_weights, kCut});
        memory.stream_weights = 0;
    }
    while (memory.stream < reset.streams) {
        memory.next_word += memory.left;
        memory.left = ++memory.stream < memory.lengths.size() ? memory.lengths[memory.stream] : 0;
    }
    memory.reset_left = reset.cycles;
    memory.offers = memory.holds = false;
}

// Take what a beat carries; return whether it breaks a rule that every beat keeps.
bool take_beat(const svBitVecVal* beat) {
    const int mask_at = memory.lanes * memory.weight_bits;
    const uint32_t mask = bits(beat, mask_at, memory.lanes);
    const uint64_t stream = memory.outcomes.size();
    if (stream == group_end()) return fail("a beat came after the end beat of the last stream");
    if (stream >= memory.begins.size()) return fail("a beat came before the first word of " + name(stream));
    for (int lane = 0; lane < memory.lanes; ++lane) {
        if (!(mask >> lane & 1)) continue;
        const int shift = 32 - memory.weight_bits;
        const uint32_t code = bits(beat, lane * memory.weight_bits, memory.weight_bits);
        memory.weights.push_back(int16_t(int32_t(code << shift) >> shift));
        ++memory.stream_weights;
    }
    if (memory.weights.size() >= kFlushWeights) flush_weights();
    if (!bits(beat, mask_at + memory.lanes, 1)) return false;
    if (mask) return fail("the end beat of " + name(stream) + " carries weights");
    if (memory.stream == stream && memory.left)
        return fail("the end beat of " + name(stream) + " came before its last word was taken");
    const uint64_t verdict = bits(beat, mask_at + memory.lanes + 1, memory.cause_bits);
    memory.outcomes.push_back({memory.begins[stream], memory.cycle, memory.stream_weights, verdict});
    memory.stream_weights = 0;
    return false;
}

void take_word() {
    if (memory.left == memory.lengths[memory.stream]) memory.begins.push_back(memory.cycle);
    ++memory.next_word;
    if (--memory.left == 0 && ++memory.stream < memory.lengths.size()) memory.left = memory.lengths[memory.stream];
}

}  // namespace

extern "C" void memory_open(const char* job, const char* result, const char* weights, const char* failure, int patience,
                            int pauses, int lanes, int weight_bits, int cause_bits) {
    memory = Memory();
    memory.with_pauses = pauses != 0;
    memory.random.state = pauses;
    memory.result_path = result;
    memory.failure_path = failure;
    memory.patience = patience;
    memory.lanes = lanes;
    memory.weight_bits = weight_bits;
    memory.cause_bits = cause_bits;
    FILE* file = opened(job, "rb");
    uint64_t streams, total = 0;
    read(file, &streams, 1, job);
    memory.lengths.resize(streams);
    read(file, memory.lengths.data(), streams, job);
    for (uint64_t length : memory.lengths) {
        if (!length) stop(std::string(job) + " has a stream without words");
        total += length;
    }
    uint64_t resets, before = 0;
    read(file, &resets, 1, job);
    memory.resets.resize(resets);
    read(file, memory.resets.data(), resets, job);
    for (const Reset& reset : memory.resets) {
        if (reset.streams < before || reset.streams > streams || !reset.cycles)
            stop(std::string(job) + " has a reset out of order, or of no cycles");
        before = reset.streams;
    }
    memory.words.resize(total);
    read(file, memory.words.data(), total, job);
    std::fclose(file);
    if (streams) memory.left = memory.lengths[0];
    memory.weights_file = opened(weights, "wb");
    memory.weights.reserve(kFlushWeights + lanes);
    memory.begun = std::chrono::steady_clock::now();
}

extern "C" void memory_cycle(svBit taken, svBit beat_valid, const svBitVecVal* beat, svBit* valid, unsigned short* word,
                             svBit* last, svBit* ready, svBit* reset, svBit* done, svBit* failed) {
    *valid = 0;
    *word = 0;
    *last = 0;
    *ready = 1;
    *reset = 0;
    *done = memory.finished;
    *failed = 0;
    if (memory.finished) return;
    if (memory.reset_left) {
        // Nothing is transferred in a reset, whatever stands on the ports.
        if (--memory.reset_left) {
            *reset = 1;
            *valid = memory.random.below(2);
            *word = memory.random.below(1 << 16);
            *last = memory.random.below(2);
            *ready = memory.random.below(2);
        } else {
            memory.group_begin = memory.last_progress = memory.cycle;
            memory.ready = true;
        }
        ++memory.cycle;
        return;
    }
    const bool given = beat_valid && memory.ready;
    if (taken) {
        take_word();
        memory.offers = false;
    }
    if (memory.with_pauses) *failed = watch_beat(beat_valid, beat);
    if (given && !*failed) *failed = take_beat(beat);
    if (taken || given) memory.last_progress = memory.cycle;
    const uint64_t quiet = memory.cycle - memory.last_progress;
    const bool complete = memory.outcomes.size() == group_end();
    if (!*failed && memory.next_reset < memory.resets.size() &&
        (memory.cycle - memory.group_begin >= memory.resets[memory.next_reset].after ||
         (complete && quiet >= kQuietCycles))) {
        begin_reset();
        *reset = 1;
        ++memory.cycle;
        return;
    }
    if (!*failed && complete && memory.next_reset == memory.resets.size()) {
        if (quiet >= kQuietCycles) finish();
    } else if (!*failed && !complete && quiet >= memory.patience) {
        *failed = fail(name(memory.outcomes.size()) + " hangs: no word taken and no beat given in " +
                       std::to_string(memory.patience) + " cycles");
    }
    ++memory.cycle;
    *done = memory.finished;
    if (memory.with_pauses) {
        memory.ready = !memory.sink.next(memory.random);
        // A word that was offered stays.
        memory.offers = !memory.source.next(memory.random) || memory.offers;
    } else {
        memory.offers = true;
    }
    *ready = memory.ready;
    if (memory.stream < group_end() && memory.offers) {
        *valid = 1;
        *word = memory.words[memory.next_word];
        *last = memory.left == 1;
    }
}
