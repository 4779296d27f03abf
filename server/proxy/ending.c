/* Ends of transactions. */
#include "server/proxy/ending.h"

#include "server/ddlx/scan.h"
#include "server/proxy/classify.h"

static bool is_one_of(struct bytes text, struct scan_token token, const char *first,
                      const char *second)
{
    return scan_is_word(text, token, first) || scan_is_word(text, token, second);
}

/* Any of these may also stand in a name or a literal; then too much is thought possible. */
static bool mentions_an_end(struct bytes text)
{
    static const char *const words[] = {"commit", "end", "prepare", "rollback", "abort"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (bytes_find_ignoring_case(text, words[i]) < text.len)
            return true;
    return false;
}

enum ending ending_of(struct bytes text)
{
    bool single = classify_is_single(text);
    struct scan_token first, next;
    struct scanner scanner;

    scanner_init(&scanner, text, true);
    first = scanner_next(&scanner);
    next = scanner_next(&scanner);
    if (is_one_of(text, first, "commit", "end"))
        return scan_is_word(text, next, "prepared") ? ENDING_PERHAPS : ENDING_COMMIT;
    if (!single)
        return mentions_an_end(text) ? ENDING_PERHAPS : ENDING_NONE;
    if (is_one_of(text, first, "prepare", "abort"))
        return scan_is_word(text, first, "abort")        ? ENDING_ROLLBACK
               : scan_is_word(text, next, "transaction") ? ENDING_PERHAPS
                                                         : ENDING_NONE;
    if (!scan_is_word(text, first, "rollback"))
        return ENDING_NONE;
    if (is_one_of(text, next, "work", "transaction"))
        next = scanner_next(&scanner);
    return scan_is_word(text, next, "to") ? ENDING_NONE : ENDING_ROLLBACK;
}
