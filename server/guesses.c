/* Wrong passwords by address. */
#include "server/guesses.h"

#include <string.h>

/* FNV-1a. */
static size_t slot_of(const char *address)
{
    uint32_t hash = 2166136261U;

    for (; *address != '\0'; address++)
        hash = (hash ^ (uint8_t)*address) * 16777619U;
    return (hash ^ hash >> 16) % GUESSES_ADDRESSES;
}

unsigned long guesses_note(struct guesses *guesses, const struct client_address *address,
                           uint64_t now_ms)
{
    struct guess *guess = &guesses->slots[slot_of(address->text)];
    unsigned long delay_ms = GUESSES_DELAY_MS;

    if (!address->single)
        return GUESSES_DELAY_MS;
    if (strcmp(guess->address, address->text) != 0 || now_ms - guess->last_ms >= GUESSES_FORGET_MS)
        *guess = (struct guess){.count = 0};
    memcpy(guess->address, address->text, sizeof(guess->address));
    for (unsigned i = 0; i < guess->count && delay_ms < GUESSES_DELAY_MAX_MS; i++)
        delay_ms *= 2;
    guess->count++;
    guess->last_ms = now_ms;
    return delay_ms;
}
