/* Waiting between attempts. */
#include "client/backoff.h"

int64_t backoff_delay(unsigned failures, int64_t most, uint32_t random)
{
    int64_t delay = (int64_t)BACKOFF_MIN * 2;

    if (failures == 0)
        return 0;
    while (--failures > 0 && delay < most)
        delay *= 2;
    if (delay > most)
        delay = most;
    return delay / 2 + (int64_t)random % (delay / 2 + 1);
}
