// What the gates of a watched netlist do: at every clock, how many outputs of each kind have changed so far.
//
// File, little-endian: for each clock, kKinds uint64.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "svdpi.h"

namespace {

constexpr int kKinds = 12;

std::FILE* file = nullptr;
uint64_t totals[kKinds];
// Of each place, what was seen last; `clocks` tells whether anything was.
std::vector<uint64_t> seen;
uint64_t clocks = 0;

}  // namespace

extern "C" void toggles_open(const char* name) {
    file = std::fopen(name, "wb");
    if (!file) std::abort();
}

extern "C" void toggles_see(int kind, int place, long long bits) {
    if (!file) return;
    const uint64_t now = static_cast<uint64_t>(bits);
    if (static_cast<size_t>(place) >= seen.size()) seen.resize(place + 1);
    if (clocks) totals[kind] += __builtin_popcountll(seen[place] ^ now);
    seen[place] = now;
}

extern "C" void toggles_clock() {
    if (!file) return;
    ++clocks;
    if (std::fwrite(totals, sizeof totals[0], kKinds, file) != kKinds || std::fflush(file)) std::abort();
}
