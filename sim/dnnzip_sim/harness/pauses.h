// The random pauses of a harness, repeatable by their seed.

#pragma once

#include <cstdint>

// How long a side rests or works at most, and for how long it keeps its habit.
constexpr uint64_t kLongestBurst = 8, kHabitCycles = 1024;

// Random numbers (splitmix64) of a seed.
struct Random {
    uint64_t state = 0;
    uint64_t below(uint64_t end) {
        uint64_t z = state += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        return (z ^ z >> 31) % end;
    }
};

// When one side of a stream rests: in bursts, or for a while not at all.
struct Pauses {
    bool rests = false, never = false;
    uint64_t burst_left = 0, habit_left = 0;
    bool next(Random& random) {
        if (habit_left-- == 0) {
            habit_left = random.below(kHabitCycles);
            never = random.below(3) == 0;
        }
        if (burst_left == 0) {
            burst_left = 1 + random.below(kLongestBurst);
            rests = !rests;
        }
        --burst_left;
        return rests && !never;
    }
};
