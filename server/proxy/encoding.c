/* Client encodings. */
#include "server/proxy/encoding.h"

static const struct {
    const char *name;
    enum encoding encoding;
} special[] = {
    {"UTF8", ENCODING_UTF8},        {"SQL_ASCII", ENCODING_BYTES}, {"EUC_JP", ENCODING_EUC},
    {"EUC_JIS_2004", ENCODING_EUC}, {"EUC_KR", ENCODING_EUC},      {"EUC_CN", ENCODING_EUC},
    {"EUC_TW", ENCODING_EUC_TW},
};

static const char *const single_byte[] = {"LATIN", "ISO_8859_", "WIN", "KOI8"};

enum encoding encoding_of_name(struct bytes name)
{
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
        if (bytes_equal_string(name, special[i].name))
            return special[i].encoding;
    for (size_t i = 0; i < sizeof single_byte / sizeof single_byte[0]; i++)
        if (bytes_starts_with(name, single_byte[i]))
            return ENCODING_SINGLE_BYTE;
    return ENCODING_AMBIGUOUS;
}

static size_t utf8_length(uint8_t lead)
{
    if (lead < 0xc0)
        return 1;
    if (lead < 0xe0)
        return 2;
    return lead < 0xf0 ? 3 : 4;
}

static size_t character_length(enum encoding encoding, uint8_t lead)
{
    if (lead < 0x80)
        return 1;
    switch (encoding) {
    case ENCODING_UTF8:
        return utf8_length(lead);
    case ENCODING_EUC:
        return lead == 0x8f ? 3 : 2;
    case ENCODING_EUC_TW:
        return lead == 0x8e ? 4 : 2;
    case ENCODING_SINGLE_BYTE:
    case ENCODING_BYTES:
    case ENCODING_AMBIGUOUS:
        break;
    }
    return 1;
}

size_t encoding_count(enum encoding encoding, struct bytes text)
{
    size_t count = 0;

    for (size_t at = 0; at < text.len; at += character_length(encoding, text.data[at]))
        count++;
    return count;
}

size_t encoding_cut(enum encoding encoding, struct bytes text, size_t max)
{
    size_t at = 0, next;

    if (text.len <= max)
        return text.len;
    while ((next = at + character_length(encoding, text.data[at])) <= max)
        at = next;
    return at;
}
