/* Waiting between attempts. */
#include "client/backoff.h"

int64_t backoff_delay(unsigned failures, uint32_t random)
{
    int64_t most = (int64_t)BACKOFF_MIN * 2;

    if (failures == 0)
        return 0;
    while (--failures > 0 && most < BACKOFF_MAX)
        most *= 2;
    if (most > BACKOFF_MAX)
        most = BACKOFF_MAX;
    return most / 2 + (int64_t)random % (most / 2 + 1);
}
