/* common/bytes.c */
#include "common/bytes.h"
#include "tests/support/guarded.h"
#include "tests/support/suite.h"

#include <string.h>

START_TEST(integers_are_read_big_endian)
{
    static const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    struct bytes in = guarded_copy(data, sizeof data);
    uint8_t a;
    uint16_t b;
    uint32_t c;
    uint64_t d;

    ck_assert(bytes_take_u8(&in, &a) && a == 1);
    ck_assert(bytes_take_u16(&in, &b) && b == 0x0203);
    ck_assert(bytes_take_u32(&in, &c) && c == 0x04050607);
    ck_assert(bytes_take_u64(&in, &d) && d == 0x08090a0b0c0d0e0f);
    ck_assert_uint_eq(in.len, 0);
}
END_TEST

START_TEST(a_short_view_is_left_alone) /* _i bytes are there */
{
    struct bytes in = guarded_copy("1234567", (size_t)_i);
    struct bytes before = in;
    struct bytes piece;
    uint64_t value;

    ck_assert(!bytes_take_u64(&in, &value));
    ck_assert(!bytes_take(&in, (size_t)_i + 1, &piece));
    ck_assert(!bytes_take_string(&in, &piece));
    ck_assert_ptr_eq(in.data, before.data);
    ck_assert_uint_eq(in.len, before.len);
}
END_TEST

START_TEST(a_string_ends_at_its_nul)
{
    struct bytes in = guarded_copy("user\0\0rest", 10);
    struct bytes string;

    ck_assert(bytes_take_string(&in, &string));
    ck_assert(bytes_equal_string(string, "user"));
    ck_assert(bytes_take_string(&in, &string));
    ck_assert_uint_eq(string.len, 0);
    ck_assert(!bytes_take_string(&in, &string));
    ck_assert(bytes_equal_string(in, "rest"));
}
END_TEST

START_TEST(views_are_clamped)
{
    struct bytes view = bytes_of_string("abc");

    ck_assert(bytes_equal_string(bytes_first(view, 2), "ab"));
    ck_assert(bytes_equal_string(bytes_first(view, 9), "abc"));
    ck_assert(bytes_equal_string(bytes_skip(view, 2), "c"));
    ck_assert_uint_eq(bytes_skip(view, 9).len, 0);
    ck_assert_uint_eq(bytes_skip(bytes_of(NULL, 0), 9).len, 0);
}
END_TEST

START_TEST(comparison_looks_at_length_and_content)
{
    ck_assert(bytes_equal(bytes_of(NULL, 0), bytes_of("x", 0)));
    ck_assert(!bytes_equal(bytes_of_string("ab"), bytes_of_string("abc")));
    ck_assert(!bytes_equal_string(bytes_of_string("abd"), "abc"));
    ck_assert(bytes_starts_with(bytes_of_string("abc"), "ab"));
    ck_assert(!bytes_starts_with(bytes_of_string("a"), "ab"));
    ck_assert(bytes_equal_secret(bytes_of_string("abc"), bytes_of_string("abc")));
    ck_assert(!bytes_equal_secret(bytes_of_string("abc"), bytes_of_string("abd")));
    ck_assert(!bytes_equal_secret(bytes_of_string("abc"), bytes_of_string("ab")));
}
END_TEST

static size_t find(const char *text, const char *needle)
{
    struct bytes view = guarded_copy(text, strlen(text));
    size_t at = bytes_find_ignoring_case(view, needle);

    guarded_free(view);
    return at;
}

START_TEST(a_word_is_found_in_any_case)
{
    ck_assert_uint_eq(find("alter table t ENABLE Electric", "electric"), 21);
    ck_assert_uint_eq(find("electric", "ELECTRIC"), 0);
    ck_assert_uint_eq(find("EEElectric", "electric"), 2);
    ck_assert_uint_eq(find("electri", "electric"), 7);
    ck_assert_uint_eq(find("", "electric"), 0);
    ck_assert_uint_eq(find("electri electri", "electric"), 15);
    ck_assert_uint_eq(find("a_B", "_b"), 1);
    ck_assert_uint_eq(find("a[b{", "{"), 3); /* [ and { differ by the case bit only */
}
END_TEST

START_TEST(a_word_is_found_at_any_place_in_a_long_text) /* _i is the place */
{
    char text[10000];
    size_t at = (size_t)_i * 997;

    memset(text, "eEx"[_i % 3], sizeof text);
    memcpy(text + at, "eLectric", 8);
    struct bytes view = guarded_copy(text, sizeof text);
    ck_assert_uint_eq(bytes_find_ignoring_case(view, "electric"), at);
    ck_assert_uint_eq(bytes_find_ignoring_case(bytes_first(view, at + 7), "electric"), at + 7);
}
END_TEST

START_TEST(utf8_is_told_from_what_is_not)
{
    static const struct {
        const char *text;
        size_t size; /* of the first character; 0: not valid */
    } cases[] = {
        {"a", 1},
        {"\x7f", 1},
        {"\xc2\x80", 2},
        {"\xdf\xbf", 2},
        {"\xe0\xa0\x80", 3},
        {"\xed\x9f\xbf", 3},
        {"\xef\xbf\xbf", 3},
        {"\xf0\x90\x80\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\x80", 0},             /* a continuation alone */
        {"\xc0\x80", 0},         /* overlong */
        {"\xc1\xbf", 0},         /* overlong */
        {"\xe0\x9f\xbf", 0},     /* overlong */
        {"\xf0\x8f\xbf\xbf", 0}, /* overlong */
        {"\xed\xa0\x80", 0},     /* a surrogate */
        {"\xf4\x90\x80\x80", 0}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", 0},
        {"\xff", 0},
        {"\xc2", 0}, /* cut short */
        {"\xe2\x82", 0},
        {"\xf0\x90\x80", 0},
        {"\xe2\x82x", 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes view = guarded_copy(cases[i].text, strlen(cases[i].text));
        ck_assert_uint_eq(bytes_utf8_char(view), cases[i].size);
        ck_assert_int_eq(bytes_is_utf8(view), cases[i].size != 0);
    }
    ck_assert(bytes_is_utf8(bytes_of(NULL, 0)));
}
END_TEST

START_TEST(a_cut_never_goes_through_a_character) /* cut at _i */
{
    static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z";
    struct bytes view = guarded_copy(text, sizeof text - 1);
    size_t cut = bytes_utf8_cut(view, (size_t)_i);

    ck_assert_uint_le(cut, (size_t)_i);
    ck_assert(bytes_is_utf8(bytes_first(view, cut)));
    ck_assert_uint_lt((size_t)_i - cut, 4);
}
END_TEST

START_TEST(lists_are_taken_apart)
{
    struct bytes list = bytes_of_string(" a\t, ,Bc");

    ck_assert(bytes_equal_string(bytes_trim(bytes_take_until(&list, ',')), "a"));
    ck_assert_uint_eq(bytes_trim(bytes_take_until(&list, ',')).len, 0);
    ck_assert(bytes_equal_ignoring_case(bytes_take_until(&list, ','), "bC"));
    ck_assert_uint_eq(list.len, 0);
    ck_assert_uint_eq(bytes_take_until(&list, ',').len, 0);
    ck_assert(!bytes_equal_ignoring_case(bytes_of_string("ab"), "a"));
}
END_TEST

START_TEST(a_cut_of_what_is_no_utf8_cuts_anywhere)
{
    ck_assert_uint_eq(bytes_utf8_cut(bytes_of_string("\x80\x80\x80\x80\x80\x80"), 5), 5);
    ck_assert_uint_eq(bytes_utf8_cut(bytes_of_string("short"), 50), 5);
}
END_TEST

SUITE("bytes", TEST(integers_are_read_big_endian), LOOP(a_short_view_is_left_alone, 0, 8),
      TEST(a_string_ends_at_its_nul), TEST(views_are_clamped),
      TEST(comparison_looks_at_length_and_content), TEST(a_word_is_found_in_any_case),
      TEST(lists_are_taken_apart), LOOP(a_word_is_found_at_any_place_in_a_long_text, 0, 10),
      TEST(utf8_is_told_from_what_is_not), LOOP(a_cut_never_goes_through_a_character, 0, 12),
      TEST(a_cut_of_what_is_no_utf8_cuts_anywhere))
