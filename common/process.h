/* What a process asks of the system for its own protection. Linux's prctl(2); elsewhere nothing. */
#ifndef COMMON_PROCESS_H
#define COMMON_PROCESS_H

#include <sys/types.h>

/* No core dump, and no debugger of the same user: this memory holds passwords and tokens. A program
 * that is run later by exec() is as usual. */
void process_hide_memory(void);

/* In a child: SIGTERM when the parent ends, however it ends. `parent` is its pid, taken before the
 * fork. It may be gone by now: then the child ends at once. */
void process_end_with(pid_t parent);

#endif
