/* Remembering what gets through. */
#include "client/choice.h"

#define REMEMBERED_MS (10 * 60 * 1000)
/* Networks break for many reasons, so not the first time. */
#define CUTS_MAX 3
#define MUTES_MAX 2

bool choice_is_http(const struct choice *choice, int64_t now)
{
    return choice->transport == CLIENT_TRANSPORT_HTTP ||
           (choice->transport == CLIENT_TRANSPORT_AUTO && now < choice->blocked_until);
}

bool choice_on_mishap(struct choice *choice, enum choice_mishap mishap)
{
    if (choice->transport != CLIENT_TRANSPORT_AUTO)
        return false;
    switch (mishap) {
    case CHOICE_REFUSED:
        return true;
    case CHOICE_CUT:
        return ++choice->cuts >= CUTS_MAX;
    case CHOICE_MUTE:
        return ++choice->mutes >= MUTES_MAX;
    }
    return false;
}

void choice_on_websocket(struct choice *choice)
{
    choice->cuts = choice->mutes = 0;
    choice->blocked_until = 0;
}

bool choice_on_blocked(struct choice *choice, int64_t now)
{
    bool first = !choice->told;

    choice->told = true;
    choice->cuts = choice->mutes = 0;
    choice->blocked_until = now + REMEMBERED_MS;
    return first;
}

void choice_on_http_failed(struct choice *choice)
{
    choice->cuts = choice->mutes = 0;
    choice->blocked_until = 0;
}
