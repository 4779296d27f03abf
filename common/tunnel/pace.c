/* One probe at a time, and the shortest time that one took. */
#include "common/tunnel/pace.h"

void pace_reset(struct pace *pace)
{
    *pace = (struct pace){.round_trip = INT64_MAX};
}

void pace_sent(struct pace *pace, int64_t now, uint64_t end)
{
    if (pace->probe != 0)
        return;
    pace->probe = end;
    pace->probe_at = now;
}

void pace_acknowledged(struct pace *pace, int64_t now, uint64_t units)
{
    if (pace->probe == 0 || units < pace->probe)
        return;
    pace->probe = 0;
    if (now - pace->probe_at < pace->round_trip)
        pace->round_trip = now - pace->probe_at;
}

size_t pace_limit(const struct pace *pace)
{
    if (pace->round_trip >= INT32_MAX / (int64_t)PACE_PER_MS)
        return pace->round_trip == INT64_MAX ? PACE_LEAST : SIZE_MAX;
    return PACE_LEAST + (size_t)pace->round_trip * PACE_PER_MS;
}
