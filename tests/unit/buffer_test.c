/* common/buffer.c */
#include "common/buffer.h"
#include "tests/support/suite.h"

#include <string.h>

static struct buffer buffer;

static void expect(const char *content)
{
    struct bytes queued = buffer_peek(&buffer);

    ck_assert_uint_eq(queued.len, strlen(content));
    ck_assert_uint_eq(buffer_len(&buffer), strlen(content));
    ck_assert(bytes_equal_string(queued, content));
}

static bool append(const char *text)
{
    return buffer_append(&buffer, bytes_of_string(text));
}

START_TEST(what_is_appended_comes_out_in_order)
{
    buffer_init(&buffer, 100);
    ck_assert(append("one "));
    ck_assert(append("two "));
    buffer_consume(&buffer, 2);
    ck_assert(append("three"));
    expect("e two three");
    buffer_clear(&buffer);
}
END_TEST

START_TEST(an_empty_queue_holds_no_memory)
{
    buffer_init(&buffer, 1 << 20);
    ck_assert_ptr_null(buffer.data);
    ck_assert(append("bytes"));
    ck_assert_ptr_nonnull(buffer.data);
    buffer_consume(&buffer, 5);
    ck_assert_ptr_null(buffer.data);
    ck_assert_uint_eq(buffer.allocated, 0);

    ck_assert(append("bytes"));
    buffer_truncate(&buffer, 0);
    ck_assert_ptr_null(buffer.data);
}
END_TEST

START_TEST(a_reservation_that_got_nothing_holds_no_memory)
{
    size_t len;

    buffer_init(&buffer, 1 << 20);
    ck_assert_ptr_nonnull(buffer_reserve(&buffer, 4096, &len));
    buffer_commit(&buffer, 0);
    ck_assert_ptr_null(buffer.data);
}
END_TEST

START_TEST(an_append_that_does_not_fit_changes_nothing_but_the_failure)
{
    buffer_init(&buffer, 5);
    ck_assert(append("abc"));
    ck_assert(!append("def"));
    expect("abc");
    ck_assert(buffer_failed(&buffer));
    buffer_clear(&buffer);
}
END_TEST

START_TEST(a_failure_sticks_until_clear)
{
    buffer_init(&buffer, 4);
    ck_assert(!append("12345"));
    ck_assert(!append("1"));
    ck_assert(!buffer_append_u8(&buffer, 1));
    ck_assert(!buffer_append_format(&buffer, "%d", 1));
    ck_assert_uint_eq(buffer_room(&buffer), 0);
    buffer_clear(&buffer);
    ck_assert(!buffer_failed(&buffer));
    ck_assert(append("1234"));
    expect("1234");
    ck_assert_uint_eq(buffer_room(&buffer), 0);
    ck_assert(!buffer_failed(&buffer));
    buffer_clear(&buffer);
}
END_TEST

START_TEST(integers_are_big_endian)
{
    static const uint8_t wanted[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

    buffer_init(&buffer, 100);
    buffer_append_u8(&buffer, 0x01);
    buffer_append_u16(&buffer, 0x0203);
    buffer_append_u32(&buffer, 0x04050607);
    buffer_append_u64(&buffer, 0x08090a0b0c0d0e0f);
    ck_assert(bytes_equal(buffer_peek(&buffer), bytes_of(wanted, sizeof wanted)));
    buffer_clear(&buffer);
}
END_TEST

START_TEST(a_string_has_its_nul_and_a_format_has_none)
{
    buffer_init(&buffer, 100);
    buffer_append_string(&buffer, "ab");
    buffer_append_format(&buffer, "%s=%d", "c", 7);
    ck_assert(bytes_equal(buffer_peek(&buffer), bytes_of("ab\0c=7", 6)));
    buffer_clear(&buffer);
}
END_TEST

START_TEST(a_length_is_patched_in_later)
{
    buffer_init(&buffer, 100);
    append("xxxx");
    buffer_consume(&buffer, 3); /* offsets count from the front, wherever that is */
    buffer_append_u32(&buffer, 0);
    append("body");
    buffer_patch_u32(&buffer, 1, 0x41424344);
    expect("xABCDbody");
    buffer_clear(&buffer);
}
END_TEST

START_TEST(patching_a_message_that_failed_is_harmless)
{
    buffer_init(&buffer, 2);
    ck_assert(!buffer_append_u32(&buffer, 0));
    buffer_patch_u32(&buffer, 0, 4);
    ck_assert_uint_eq(buffer_len(&buffer), 0);
}
END_TEST

START_TEST(truncate_drops_from_the_end)
{
    buffer_init(&buffer, 100);
    append("keep this, drop that");
    buffer_truncate(&buffer, 9);
    expect("keep this");
    buffer_truncate(&buffer, 50);
    expect("keep this");
    buffer_clear(&buffer);
}
END_TEST

START_TEST(reserve_gives_what_is_wanted_and_at_most_the_capacity)
{
    size_t len;

    buffer_init(&buffer, 1000);
    ck_assert_ptr_nonnull(buffer_reserve(&buffer, 600, &len));
    ck_assert_uint_ge(len, 600);
    ck_assert_uint_le(len, 1000);
    buffer_commit(&buffer, 600);
    ck_assert_ptr_nonnull(buffer_reserve(&buffer, 600, &len));
    ck_assert_uint_eq(len, 400);
    buffer_commit(&buffer, 400);
    ck_assert_ptr_null(buffer_reserve(&buffer, 1, &len));
    ck_assert_uint_eq(len, 0);
    ck_assert(!buffer_failed(&buffer)); /* a full queue is no failure */
    buffer_consume(&buffer, 1);
    ck_assert_ptr_nonnull(buffer_reserve(&buffer, 600, &len));
    ck_assert_uint_eq(len, 1);
    buffer_clear(&buffer);
}
END_TEST

START_TEST(growth_keeps_the_content)
{
    uint8_t expected = 0, next = 0;

    buffer_init(&buffer, 100000);
    bool same = true;
    while (buffer_room(&buffer) > 0) {
        same = buffer_append_u8(&buffer, next++) && same;
        if (next % 3 == 0) {
            same = buffer_peek(&buffer).data[0] == expected++ && same;
            buffer_consume(&buffer, 1);
        }
    }
    for (; buffer_len(&buffer) > 0; buffer_consume(&buffer, 1))
        same = buffer_peek(&buffer).data[0] == expected++ && same;
    ck_assert(same);
    ck_assert_uint_eq(expected, next);
}
END_TEST

START_TEST(memory_never_exceeds_the_capacity)
{
    buffer_init(&buffer, 3000);
    size_t largest = 0;
    for (int i = 0; i < 10000; i++) {
        if (buffer_room(&buffer) >= 100)
            buffer_append(&buffer, bytes_of(&buffer, 24));
        else
            buffer_consume(&buffer, 1000);
        largest = buffer.allocated > largest ? buffer.allocated : largest;
    }
    ck_assert(!buffer_failed(&buffer));
    ck_assert_uint_le(largest, 3000);
    buffer_clear(&buffer);
}
END_TEST

START_TEST(a_long_running_queue_seldom_moves_its_bytes)
{
    size_t moves = 0;
    static uint8_t block[1000];

    /* 50 kB stay queued while 100 MB pass through. */
    buffer_init(&buffer, 1 << 20);
    for (int i = 0; i < 50; i++)
        buffer_append(&buffer, bytes_of(block, sizeof block));
    for (int i = 0; i < 100000; i++) {
        size_t start = buffer.start;
        buffer_append(&buffer, bytes_of(block, sizeof block));
        moves += buffer.start < start;
        buffer_consume(&buffer, sizeof block);
    }
    ck_assert_uint_le(moves * 50, 100000 + 50 * 10);
    buffer_clear(&buffer);
}
END_TEST

START_TEST(no_capacity_means_nothing_fits)
{
    size_t len;

    buffer_init(&buffer, 0);
    ck_assert_ptr_null(buffer_reserve(&buffer, 1, &len));
    ck_assert(buffer_append(&buffer, bytes_of(NULL, 0)));
    ck_assert(!append("x"));
    buffer_clear(&buffer);
}
END_TEST

START_TEST(an_unbounded_capacity_does_not_overflow)
{
    buffer_init(&buffer, SIZE_MAX);
    ck_assert(append("x"));
    ck_assert(append("y"));
    expect("xy");
    buffer_clear(&buffer);
}
END_TEST

/* Takes minutes if each of the last ones moves all before it. */
START_TEST(the_last_bytes_cost_no_more_than_the_first)
{
    static const size_t capacity = (size_t)3 * 1024 * 1024;

    buffer_init(&buffer, capacity);
    for (size_t i = 0; i < capacity; i++)
        (void)buffer_append_u8(&buffer, 'x');
    ck_assert(!buffer_failed(&buffer));
    ck_assert_uint_eq(buffer_len(&buffer), capacity);
    buffer_clear(&buffer);
}
END_TEST

SUITE("buffer", TEST(what_is_appended_comes_out_in_order), TEST(an_empty_queue_holds_no_memory),
      TEST(a_reservation_that_got_nothing_holds_no_memory),
      TEST(an_append_that_does_not_fit_changes_nothing_but_the_failure),
      TEST(a_failure_sticks_until_clear), TEST(integers_are_big_endian),
      TEST(a_string_has_its_nul_and_a_format_has_none), TEST(a_length_is_patched_in_later),
      TEST(patching_a_message_that_failed_is_harmless), TEST(truncate_drops_from_the_end),
      TEST(reserve_gives_what_is_wanted_and_at_most_the_capacity), TEST(growth_keeps_the_content),
      TEST(memory_never_exceeds_the_capacity), TEST(a_long_running_queue_seldom_moves_its_bytes),
      TEST(no_capacity_means_nothing_fits), TEST(an_unbounded_capacity_does_not_overflow),
      TEST(the_last_bytes_cost_no_more_than_the_first))
