/* SQL texts: the scanner, the recogniser and the rewriting. The first byte chooses the settings. */
#include "server/proxy/statement.h"

#include <stdlib.h>

static void check_positions(const struct rewrite *rewrite)
{
    struct bytes text = buffer_peek(&rewrite->text);

    for (uint32_t at = 1; at <= text.len && at < 4096; at++)
        if (rewrite_position(rewrite, at) == 0)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char tables[] = "schema_migrations\0migrations\0";
    struct statement_settings settings = {.endings = true};
    enum statement_use use;
    struct rewrite *rewrite;

    if (size == 0)
        return 0;
    settings.standard_conforming_strings = (data[0] & 1) != 0;
    settings.settled = (data[0] & 2) != 0;
    settings.encoding = (enum encoding)((data[0] >> 2) % (ENCODING_AMBIGUOUS + 1));
    settings.characters = settings.encoding;
    settings.fallback = (data[0] & 64) != 0;
    settings.framework_tables = settings.fallback ? tables : NULL;
    use = (data[0] & 128) != 0 ? STATEMENT_PREPARE : STATEMENT_QUERY;
    rewrite = statement_examine(bytes_of(data + 1, size - 1), use, &settings);
    if (rewrite != NULL)
        check_positions(rewrite);
    else
        statement_mentions_ddlx(NULL, bytes_of(data + 1, size - 1));
    rewrite_release(rewrite);
    return 0;
}
