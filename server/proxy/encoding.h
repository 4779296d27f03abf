/* What the proxy must know of client_encoding: where characters begin, and whether ASCII bytes are
 * always ASCII characters (PostgreSQL documentation, "Character Set Support"). */
#ifndef SERVER_PROXY_ENCODING_H
#define SERVER_PROXY_ENCODING_H

#include "common/bytes.h"

enum encoding {
    ENCODING_UTF8,
    ENCODING_SINGLE_BYTE,
    ENCODING_BYTES,     /* SQL_ASCII: nothing is converted */
    ENCODING_EUC,       /* two bytes, three behind 0x8f (EUC_JP, EUC_JIS_2004, EUC_KR, EUC_CN) */
    ENCODING_EUC_TW,    /* two bytes, four behind 0x8e */
    ENCODING_AMBIGUOUS, /* trailing bytes may be ASCII: SJIS, BIG5, GBK, UHC, GB18030, JOHAB */
};

/* From the value of ParameterStatus client_encoding. A name that is not known is ambiguous. */
enum encoding encoding_of_name(struct bytes name);

/* Characters in `text`; a sequence that is cut short counts as one. */
size_t encoding_count(enum encoding encoding, struct bytes text);
/* Length of `text` cut to at most `max` bytes without cutting through a character. */
size_t encoding_cut(enum encoding encoding, struct bytes text, size_t max);

#endif
