#pragma once
#include <glib.h>

/*
 * A parser under random input. Works with any compiler: a plain loop over seeds and their
 * mutations; no coverage is measured, so seeds should reach what matters.
 */
typedef struct {
    const char *name;
    /** run: must neither crash nor break what it asserts. @text is NUL-terminated behind its end.
     */
    void (*run)(const char *text, size_t length);
    const char *const *seeds; /* NULL-terminated */
} FuzzTarget;

/** fuzz_main: NAME-of-program [SECONDS [SEED [TARGET]]]: each target for so long (default 1 s). An
 *  input that crashes is left in ./fuzz-crash-TARGET. @targets ends with { 0 }. */
int fuzz_main(int argc, char **argv, const FuzzTarget *targets);
