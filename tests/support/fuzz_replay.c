/* Runs a fuzz target over files instead of a fuzzer: the committed corpus, in every build. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t size = 0;

    if (file == NULL) {
        perror(path);
        return 1;
    }
    for (size_t count = 1; count > 0; size += count) {
        data = realloc(data, size + 65536);
        if (data == NULL)
            abort();
        count = fread(data + size, 1, 65536, file);
    }
    fclose(file);
    /* An exact copy, so that the sanitizer sees the end. */
    uint8_t *input = malloc(size == 0 ? 1 : size);
    if (input == NULL)
        abort();
    memcpy(input, data, size);
    free(data);
    LLVMFuzzerTestOneInput(input, size);
    free(input);
    return 0;
}

static int replay_directory(const char *path, int *files)
{
    DIR *directory = opendir(path);
    int failures = 0;

    if (directory == NULL) {
        perror(path);
        return 1;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        failures += replay_file(name);
        (*files)++;
    }
    closedir(directory);
    return failures;
}

int main(int argc, char **argv)
{
    int failures = 0;
    int files = 0;

    for (int i = 1; i < argc; i++)
        failures += replay_directory(argv[i], &files);
    printf("replayed %d inputs\n", files);
    return failures == 0 && files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
