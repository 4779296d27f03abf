/* What becomes of transactions. */
#include "server/proxy/outcome.h"

static enum tunnel_outcome foretell(const struct outcome *outcome, enum ending ending,
                                    enum outcome_scene scene, bool asked)
{
    if (ending == ENDING_PERHAPS)
        return TUNNEL_OUTCOME_UNKNOWN;
    switch (scene) {
    case OUTCOME_IDLE:
        return TUNNEL_OUTCOME_NONE;
    case OUTCOME_FAILED:
        return TUNNEL_OUTCOME_ROLLED_BACK;
    case OUTCOME_OPEN:
        if (ending == ENDING_ROLLBACK)
            return TUNNEL_OUTCOME_ROLLED_BACK;
        if (!asked && !outcome->acted)
            return TUNNEL_OUTCOME_NONE;
        break;
    case OUTCOME_BUSY:
        break;
    }
    return TUNNEL_OUTCOME_UNKNOWN;
}

void outcome_sent(struct outcome *outcome, enum ending ending, enum outcome_scene scene, bool asked)
{
    if (outcome->under_way++ > 0)
        return;
    outcome->xid = 0;
    outcome->refused = false;
    outcome->ending = ending;
    outcome->meanwhile = foretell(outcome, ending, scene, asked);
    outcome->answered = TUNNEL_OUTCOME_UNKNOWN;
}

/* A number in text, at most 20 digits; 0 when it is none. */
static uint64_t read_number(struct bytes text)
{
    uint64_t number = 0;
    uint8_t digit;

    if (text.len > 20)
        return 0;
    while (bytes_take_u8(&text, &digit)) {
        if (digit < '0' || digit > '9')
            return 0;
        number = number * 10 + (uint64_t)(digit - '0');
    }
    return number;
}

void outcome_told(struct outcome *outcome, bool is_row, struct bytes body)
{
    uint16_t columns = 1;
    uint32_t length;
    struct bytes value;

    if ((is_row && !bytes_take_u16(&body, &columns)) || columns != 1 ||
        !bytes_take_u32(&body, &length))
        return;
    if (length == UINT32_MAX) { /* NULL: nothing was written */
        outcome->meanwhile = TUNNEL_OUTCOME_NONE;
        return;
    }
    if (!bytes_take(&body, length, &value))
        return;
    outcome->xid = read_number(value);
    outcome->news = outcome->xid;
}

void outcome_refused(struct outcome *outcome)
{
    outcome->refused = true;
    outcome->meanwhile = TUNNEL_OUTCOME_ROLLED_BACK;
}

/* These take no snapshot, so that there is none yet if they are all there was. */
static bool is_preparation(struct bytes tag)
{
    static const char *const tags[] = {"BEGIN", "START TRANSACTION", "SET",    "RESET",
                                       "SHOW",  "SAVEPOINT",         "LISTEN", "RELEASE"};

    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
        if (bytes_equal_string(tag, tags[i]))
            return true;
    return false;
}

void outcome_tag(struct outcome *outcome, bool ends, struct bytes body)
{
    struct bytes tag = bytes_first(body, body.len > 0 ? body.len - 1 : 0);

    if (!ends) {
        outcome->acted = outcome->acted || !is_preparation(tag);
    } else if (outcome->answered == TUNNEL_OUTCOME_UNKNOWN) {
        if (bytes_equal_string(tag, "COMMIT"))
            outcome->answered = TUNNEL_OUTCOME_COMMITTED;
        else if (bytes_equal_string(tag, "ROLLBACK"))
            outcome->answered = TUNNEL_OUTCOME_ROLLED_BACK;
    }
}

/* Of a text with more than one end, some took effect. */
void outcome_failed(struct outcome *outcome)
{
    outcome->answered = outcome->answered == TUNNEL_OUTCOME_COMMITTED ? TUNNEL_OUTCOME_UNKNOWN
                                                                      : TUNNEL_OUTCOME_ROLLED_BACK;
}

void outcome_over(struct outcome *outcome)
{
    outcome->under_way--;
    outcome->xid = outcome->news = 0;
    outcome->acted = outcome->refused = false;
    outcome->meanwhile = TUNNEL_OUTCOME_UNKNOWN;
}

enum tunnel_outcome outcome_unanswered(const struct outcome *outcome)
{
    if (outcome->under_way > 1)
        return TUNNEL_OUTCOME_UNKNOWN;
    return outcome->xid != 0 ? TUNNEL_OUTCOME_IN_PROGRESS : outcome->meanwhile;
}
