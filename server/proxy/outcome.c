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
    outcome->committed = outcome->rolled_back = false;
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
    if (length == UINT32_MAX) { /* NULL: nothing was written, so far */
        outcome->meanwhile = outcome->acts_late ? TUNNEL_OUTCOME_UNKNOWN : TUNNEL_OUTCOME_NONE;
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

static bool is_any_of(struct bytes tag, const char *const *tags, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_string(tag, tags[i]))
            return true;
    return false;
}

/* These take no snapshot, so that there is none yet if they are all there was. */
static bool is_preparation(struct bytes tag)
{
    static const char *const tags[] = {"BEGIN", "START TRANSACTION", "SET",    "RESET",
                                       "SHOW",  "SAVEPOINT",         "LISTEN", "RELEASE"};

    return is_any_of(tag, tags, sizeof tags / sizeof tags[0]);
}

/* Nothing of these is left for COMMIT. Of others there may be, and the transaction gets its number
 * only then, or none: NOTIFY, a cursor WITH HOLD, rows of a foreign table. What a SELECT calls may
 * notify somebody, too; that alone is not told from one that reads. */
static bool is_done_at_once(struct bytes tag)
{
    static const char *const tags[] = {"CLOSE CURSOR", "DEALLOCATE", "DISCARD ALL", "EXPLAIN",
                                       "LOCK TABLE",   "PREPARE",    "ROLLBACK"};
    static const uint8_t none[] = {' ', '0'};

    return is_preparation(tag) || bytes_starts_with(tag, "SELECT ") ||
           bytes_starts_with(tag, "FETCH ") || bytes_starts_with(tag, "MOVE ") ||
           (tag.len > sizeof none &&
            bytes_equal(bytes_skip(tag, tag.len - sizeof none), bytes_of(none, sizeof none))) ||
           is_any_of(tag, tags, sizeof tags / sizeof tags[0]);
}

void outcome_acted(struct outcome *outcome)
{
    outcome->acted = true;
}

void outcome_idle(struct outcome *outcome)
{
    outcome->acted = outcome->acts_late = false;
}

/* Behind a COMMIT there may be more in the same text, and in another transaction. */
void outcome_tag(struct outcome *outcome, bool ends, struct bytes body)
{
    struct bytes tag = bytes_first(body, body.len > 0 ? body.len - 1 : 0);

    if (ends && bytes_equal_string(tag, "COMMIT")) {
        outcome->committed = true;
        outcome_idle(outcome);
        return;
    }
    if (ends && bytes_equal_string(tag, "ROLLBACK"))
        outcome->rolled_back = true;
    outcome->acted = outcome->acted || !is_preparation(tag);
    outcome->acts_late = outcome->acts_late || !is_done_at_once(tag);
}

void outcome_failed(struct outcome *outcome)
{
    outcome->rolled_back = true;
}

void outcome_over(struct outcome *outcome)
{
    outcome->under_way--;
    outcome->last_xid = outcome->xid;
    outcome->xid = outcome->news = 0;
    outcome->refused = false;
    outcome->meanwhile = TUNNEL_OUTCOME_UNKNOWN;
    outcome->endings++;
    outcome->is_latest = true;
}

enum tunnel_outcome outcome_unanswered(const struct outcome *outcome)
{
    if (outcome->under_way > 1)
        return TUNNEL_OUTCOME_UNKNOWN;
    return outcome->xid != 0 ? TUNNEL_OUTCOME_IN_PROGRESS : outcome->meanwhile;
}

/* Of several, some took effect and some did not: which of them is meant is not known. */
enum tunnel_outcome outcome_answered(const struct outcome *outcome)
{
    if (outcome->committed == outcome->rolled_back)
        return TUNNEL_OUTCOME_UNKNOWN;
    return outcome->committed ? TUNNEL_OUTCOME_COMMITTED : TUNNEL_OUTCOME_ROLLED_BACK;
}
