/* What became of SQL texts. */
#include "server/proxy/rewrite.h"

#include "common/memory.h"

#include <stdlib.h>

/* `CALL electric.refuse_unique_index(…)` with a name of three parts. */
#define CHECK_MAX ((size_t)4096)
/* What the ledger keeps of a statement. */
#define SAID_MAX ((size_t)8192)

struct rewrite *rewrite_new(size_t text_capacity)
{
    struct rewrite *rewrite = mem_new(sizeof *rewrite);

    rewrite->references = 1;
    buffer_init(&rewrite->text, text_capacity);
    buffer_init(&rewrite->check, CHECK_MAX);
    buffer_init(&rewrite->said, SAID_MAX);
    return rewrite;
}

struct rewrite *rewrite_share(struct rewrite *rewrite)
{
    if (rewrite != NULL)
        rewrite->references++;
    return rewrite;
}

void rewrite_release(struct rewrite *rewrite)
{
    if (rewrite == NULL || --rewrite->references > 0)
        return;
    buffer_clear(&rewrite->text);
    buffer_clear(&rewrite->check);
    buffer_clear(&rewrite->said);
    free(rewrite->mistake.message);
    free(rewrite->edits);
    free(rewrite);
}

/* Room for one more in a table that doubles: true when `count` is a power of two, or 0. */
static bool is_full(size_t count)
{
    return (count & (count - 1)) == 0;
}

void rewrite_add_edit(struct rewrite *rewrite, struct rewrite_edit edit)
{
    if (is_full(rewrite->edit_count))
        rewrite->edits =
            mem_resize(rewrite->edits, (rewrite->edit_count * 2 + 1) * sizeof rewrite->edits[0]);
    rewrite->edits[rewrite->edit_count++] = edit;
}

unsigned rewrite_care(const struct rewrite *rewrite)
{
    enum { CARE_NONE, CARE_ENDING, CARE_NOTE, CARE_CAPTURE, CARE_CHECK };

    if (rewrite == NULL)
        return CARE_NONE;
    if (buffer_len(&rewrite->check) > 0)
        return CARE_CHECK;
    switch (rewrite->follow) {
    case FOLLOW_CAPTURE:
        return CARE_CAPTURE;
    case FOLLOW_NOTE:
        return CARE_NOTE;
    case FOLLOW_NONE:
        break;
    }
    return rewrite->ending != ENDING_NONE ? CARE_ENDING : CARE_NONE;
}

void rewrite_forget_text(struct rewrite *rewrite)
{
    buffer_clear(&rewrite->text);
}

/* The edit of the `index`th statement that is sent; NULL: it is as the client wrote it. */
static const struct rewrite_edit *edit_of(const struct rewrite *rewrite, uint32_t index)
{
    size_t low = 0, high = rewrite->edit_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rewrite->edits[middle].statement < index)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < rewrite->edit_count && rewrite->edits[low].statement == index)
        return &rewrite->edits[low];
    return NULL;
}

enum ddlx_kind rewrite_kind(const struct rewrite *rewrite, uint32_t index)
{
    const struct rewrite_edit *edit = edit_of(rewrite, index);

    return edit != NULL ? edit->kind : DDLX_NONE;
}

enum rewrite_role rewrite_role(const struct rewrite *rewrite, uint32_t index)
{
    const struct rewrite_edit *edit = edit_of(rewrite, index);
    const struct rewrite_edit *next = edit_of(rewrite, index + 1);

    if (edit != NULL)
        return edit->kind != DDLX_NONE ? ROLE_DDLX : ROLE_HIDDEN;
    return next != NULL && next->kind == DDLX_NONE ? ROLE_WATCHED : ROLE_CLIENT;
}

/* The last edit that begins at or before `at`; NULL: none does. */
static const struct rewrite_edit *edit_before(const struct rewrite *rewrite, uint32_t at)
{
    size_t low = 0, high = rewrite->edit_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rewrite->edits[middle].now_start <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? &rewrite->edits[low - 1] : NULL;
}

uint32_t rewrite_position(const void *context, uint32_t position)
{
    const struct rewrite_edit *edit;
    uint32_t at = position - 1;

    if (position == 0)
        return 0;
    edit = edit_before(context, at);
    if (edit == NULL)
        return position;
    /* Inside a call of ours there is nothing the client wrote: its statement's beginning. */
    if (at < edit->now_end)
        return edit->was_start + 1;
    return at - edit->now_end + edit->was_end + 1;
}
