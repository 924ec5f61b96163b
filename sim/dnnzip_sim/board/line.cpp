// The serial line of dnnzip_board.sv: a pseudo-terminal on one side, two pins on the other, 8N1.
//
// The file `port` gets the terminal's name once it can be opened. The board runs until there is a file `stop`, or the
// process `owner` is gone; then the file `result` gets, as text: cycles, cycles from the first byte of the board to its last, bytes to the board, bytes from
// it, bytes lost and damaged on the way to it, bytes lost and damaged on the way from it. `lost` and `damaged` are chances of a byte, in millionths, in both directions.

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>

#include <fcntl.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include "svdpi.h"

namespace {

constexpr uint64_t kLookCycles = 64;         // between two looks at an idle terminal
constexpr uint64_t kStopCycles = 1 << 14;    // between two looks at the file `stop`
constexpr uint64_t kIdleCycles = 200000;     // without a byte, after which the board sleeps now and then
constexpr useconds_t kSleepMicroseconds = 500;
constexpr int kBits = 8;

[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "dnnzip_board: %s: %s\n", what.c_str(), std::strerror(errno));
    std::exit(1);
}

struct Faults {
    uint64_t state = 0;
    uint32_t lost = 0, damaged = 0;
    uint64_t random() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state * 0x2545F4914F6CDD1DULL >> 33;
    }
};

struct Direction {
    uint64_t bytes = 0, lost = 0, damaged = 0;
    // Return whether the byte arrives; it may be another one then.
    bool passes(uint8_t& byte, Faults& faults) {
        ++bytes;
        if (faults.random() % 1000000 < faults.lost) {
            ++lost;
            return false;
        }
        if (faults.random() % 1000000 < faults.damaged) {
            ++damaged;
            byte ^= uint8_t(1u << faults.random() % kBits);
        }
        return true;
    }
};

struct Line {
    int terminal = -1, kept_open = -1;
    std::string stop, result;
    int divisor = 0, owner = 0;
    Faults faults;
    Direction to_board, from_board;
    uint64_t cycle = 0, last_byte = 0;
    uint64_t first_sent = 0, last_sent = 0;  // by the board
    bool done = false;
    std::deque<uint8_t> arriving, leaving;
    // To the board: bits that are left, least significant first, and cycles that are left of the one on the line.
    uint32_t out_bits = 0;
    int out_left = 0, out_timer = 0;
    bool out_level = true;
    // From the board: bits that are still to be sampled.
    uint32_t in_byte = 0;
    int in_left = 0, in_timer = 0;
};

Line line;

void write_file(const std::string& path, const std::string& text) {
    const std::string beside = path + ".part";
    FILE* file = std::fopen(beside.c_str(), "w");
    if (!file || std::fputs(text.c_str(), file) < 0 || std::fclose(file)) fail(beside);
    if (std::rename(beside.c_str(), path.c_str())) fail(path);
}

void finish() {
    line.done = true;
    std::string text = std::to_string(line.cycle);
    for (uint64_t value : {line.last_sent - line.first_sent, line.to_board.bytes, line.from_board.bytes, line.to_board.lost, line.to_board.damaged,
                           line.from_board.lost, line.from_board.damaged})
        text += " " + std::to_string(value);
    write_file(line.result, text + "\n");
}

void read_terminal() {
    uint8_t bytes[256];
    const ssize_t count = ::read(line.terminal, bytes, sizeof bytes);
    if (count < 0 && errno != EAGAIN && errno != EIO) fail("the terminal cannot be read");
    for (ssize_t index = 0; index < count; ++index)
        if (line.to_board.passes(bytes[index], line.faults)) line.arriving.push_back(bytes[index]);
}

void write_terminal() {
    while (!line.leaving.empty()) {
        const uint8_t byte = line.leaving.front();
        const ssize_t count = ::write(line.terminal, &byte, 1);
        if (count < 0 && errno == EAGAIN) return;  // the host does not read now
        if (count != 1) fail("the terminal cannot be written");
        line.leaving.pop_front();
    }
}

bool next_level() {
    if (line.out_timer) {
        --line.out_timer;
        return line.out_level;
    }
    if (!line.out_left) {
        if (line.arriving.empty() && line.cycle % kLookCycles == 0) read_terminal();
        if (line.arriving.empty()) return true;
        line.out_bits = uint32_t(line.arriving.front()) << 1 | 1u << (kBits + 1);
        line.out_left = kBits + 2;
        line.arriving.pop_front();
        line.last_byte = line.cycle;
    }
    line.out_level = line.out_bits & 1;
    line.out_bits >>= 1;
    --line.out_left;
    line.out_timer = line.divisor - 1;
    return line.out_level;
}

void sample(bool level) {
    if (!line.in_left) {
        if (level) return;
        line.in_left = kBits + 1;
        line.in_timer = line.divisor + line.divisor / 2 - 1;
        line.in_byte = 0;
        return;
    }
    if (line.in_timer) {
        --line.in_timer;
        return;
    }
    line.in_timer = line.divisor - 1;
    if (--line.in_left) {
        line.in_byte |= uint32_t(level) << (kBits - line.in_left);
        return;
    }
    uint8_t byte = uint8_t(line.in_byte);
    line.last_byte = line.last_sent = line.cycle;
    if (!line.first_sent) line.first_sent = line.cycle;
    if (level && line.from_board.passes(byte, line.faults)) line.leaving.push_back(byte);
    write_terminal();
}

}  // namespace

extern "C" void line_open(const char* port, const char* stop, const char* result, int owner, int divisor, int seed,
                          int lost, int damaged) {
    line = Line();
    line.stop = stop;
    line.result = result;
    line.owner = owner;
    line.divisor = divisor;
    line.faults.state = uint64_t(uint32_t(seed)) * 2 + 1;
    line.faults.lost = uint32_t(lost);
    line.faults.damaged = uint32_t(damaged);
    line.terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (line.terminal < 0 || ::grantpt(line.terminal) || ::unlockpt(line.terminal)) fail("no pseudo-terminal");
    const char* name = ::ptsname(line.terminal);
    // Kept open, so that the terminal lives on when a host closes it.
    line.kept_open = ::open(name, O_RDWR | O_NOCTTY);
    termios settings;
    if (line.kept_open < 0 || ::tcgetattr(line.kept_open, &settings)) fail(name);
    ::cfmakeraw(&settings);
    if (::tcsetattr(line.kept_open, TCSANOW, &settings)) fail(name);
    write_file(port, std::string(name) + "\n");
}

extern "C" void line_cycle(svBit tx, svBit* rx, svBit* done) {
    *done = line.done;
    *rx = 1;
    if (line.done) return;
    sample(tx);
    *rx = next_level();
    ++line.cycle;
    if (line.cycle % kStopCycles == 0) {
        const bool alone = ::kill(line.owner, 0) && errno == ESRCH;
        if (alone || ::access(line.stop.c_str(), F_OK) == 0) finish();
        if (!line.leaving.empty()) write_terminal();
    }
    if (line.cycle - line.last_byte > kIdleCycles && line.cycle % 1024 == 0) {
        if (line.arriving.empty()) read_terminal();
        ::usleep(kSleepMicroseconds);
    }
    *done = line.done;
}
