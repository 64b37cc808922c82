#include <stdio.h>
#include <string.h>
#include "sim/cfs.h"
#include "sim/fast.h"
#include "sim/ha.h"

static const struct {
    const char *word;
    int (*main)(int argc, char **argv);
} words[] = {
    { "story", sim_ha_main }, { "events", sim_ha_main }, { "rules", sim_ha_main },
    { "fence", sim_ha_main }, { "plan", sim_ha_main },   { "fuzz", fast_main },
    { "cfs", sim_cfs_main },
};

int
main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof words / sizeof *words; i++) {
        if (strcmp(argv[1], words[i].word) == 0) {
            return words[i].main(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "usage: quorate-sim");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        fprintf(stderr, "%s %s", i > 0 ? " |" : "", words[i].word);
    }
    fprintf(stderr, " …\n");
    return 255;
}
