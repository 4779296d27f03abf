/* common/status.c */
#include "common/status.h"
#include "common/bytes.h"
#include "tests/support/suite.h"

#include <string.h>

START_TEST(every_status_has_a_name_and_a_text)
{
    for (int i = STATUS_OK; i <= STATUS_SYSTEM; i++) {
        ck_assert_str_ne(status_name((enum status)i), "UNKNOWN");
        ck_assert_uint_gt(strlen(status_text((enum status)i)), 3);
    }
    ck_assert_str_eq(status_name(STATUS_MORE), "MORE");
    ck_assert_ptr_nonnull(status_name((enum status)99));
    ck_assert_ptr_nonnull(status_text((enum status)99));
}
END_TEST

START_TEST(an_error_is_described_once)
{
    struct error error = {.hint = "old"};

    ck_assert_int_eq(error_set(&error, STATUS_DENIED, "28P01", "user \"%s\"", "x"), STATUS_DENIED);
    ck_assert_str_eq(error.sqlstate, "28P01");
    ck_assert_str_eq(error.message, "user \"x\"");
    ck_assert_str_eq(error.hint, "");
    error_hint(&error, "Try %d.", 2);
    ck_assert_str_eq(error.hint, "Try 2.");
    ck_assert_int_eq(error_set(NULL, STATUS_FULL, "54000", "x"), STATUS_FULL);
    error_hint(NULL, "x");
}
END_TEST

START_TEST(an_error_can_be_wrapped_into_itself)
{
    struct error error;

    error_set(&error, STATUS_INVALID, "08P01", "inner");
    error_set(&error, STATUS_INVALID, "08P01", "outer: %s", error.message);
    ck_assert_str_eq(error.message, "outer: inner");
}
END_TEST

START_TEST(long_texts_are_cut_at_a_character) /* _i characters of one byte in front */
{
    char text[1024];
    struct error error;

    memset(text, 'a', (size_t)_i);
    for (size_t at = (size_t)_i; at + 4 < sizeof text; at += 3)
        memcpy(text + at, "\xe2\x82\xac", 4);
    error_set(&error, STATUS_INVALID, "08P01", "%s", text);
    ck_assert(bytes_is_utf8(bytes_of_string(error.message)));
    ck_assert_uint_ge(strlen(error.message), sizeof error.message - 4);
    error_hint(&error, "%s", text);
    ck_assert(bytes_is_utf8(bytes_of_string(error.hint)));
}
END_TEST

SUITE("status", TEST(every_status_has_a_name_and_a_text), TEST(an_error_is_described_once),
      TEST(an_error_can_be_wrapped_into_itself), LOOP(long_texts_are_cut_at_a_character, 0, 4))
