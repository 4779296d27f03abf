/* common/memory.c */
#include "common/memory.h"
#include "tests/support/suite.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

START_TEST(new_memory_is_zeroed_and_never_null)
{
    unsigned char *memory = mem_new_array(100, 3);

    for (int i = 0; i < 300; i++)
        ck_assert_int_eq(memory[i], 0);
    free(memory);
    memory = mem_new(0);
    ck_assert_ptr_nonnull(memory);
    memory = mem_resize(memory, 0);
    ck_assert_ptr_nonnull(memory);
    free(memory);
}
END_TEST

START_TEST(copies_are_strings)
{
    char *copy = mem_copy_chars("abcdef", 3);

    ck_assert_str_eq(copy, "abc");
    free(copy);
    copy = mem_copy_string("");
    ck_assert_str_eq(copy, "");
    free(copy);
    copy = mem_format("%s-%d", "a", 5);
    ck_assert_str_eq(copy, "a-5");
    free(copy);
    mem_free_secret(NULL, 10);
    mem_free_secret(mem_copy_string("secret"), 6);
}
END_TEST

START_TEST(the_tuning_is_harmless)
{
    mem_setup();
    for (int i = 0; i < 100; i++)
        free(mem_new(1 << 18));
}
END_TEST

SUITE("memory", TEST(new_memory_is_zeroed_and_never_null), TEST(copies_are_strings),
      TEST(the_tuning_is_harmless))
