/* SQL texts: the scanner, the recogniser and the rewriting. The first byte chooses the settings. */
#include "server/proxy/statement.h"

#include <stdlib.h>

static void check_positions(const struct rewrite *rewrite)
{
    struct bytes text = rewrite_text(rewrite);

    for (uint32_t at = 1; at <= text.len && at < 4096; at++)
        if (rewrite_position(rewrite, at) == 0)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct statement_settings settings;
    struct rewrite *rewrite;

    if (size == 0)
        return 0;
    settings.standard_conforming_strings = (data[0] & 1) != 0;
    settings.settled = (data[0] & 2) != 0;
    settings.encoding = (enum encoding)((data[0] >> 2) % (ENCODING_AMBIGUOUS + 1));
    settings.characters = settings.encoding;
    rewrite = statement_examine(bytes_of(data + 1, size - 1), &settings);
    if (rewrite != NULL)
        check_positions(rewrite);
    else
        statement_mentions_ddlx(bytes_of(data + 1, size - 1));
    rewrite_release(rewrite);
    return 0;
}
