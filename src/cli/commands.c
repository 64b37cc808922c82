#include "cli/commands.h"
#include <string.h>
#include "cli/pvecm.h"
#include "cli/ha_manager.h"
#include "cli/pvesh.h"
#include "cli/pvesm.h"
#include "cli/qm.h"

/* Every command of the house; a new file of rows adds its program here. */
static const CliProgram *const programs[] = {
    &cli_pvecm, &cli_ha_manager, &cli_pvesh, &cli_pvesm, &cli_qm,
};

const CliProgram *
cli_program_at(size_t n)
{
    return n < G_N_ELEMENTS(programs) ? programs[n] : NULL;
}

const CliProgram *
cli_program_find(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(programs); i++) {
        if (strcmp(programs[i]->name, name) == 0) {
            return programs[i];
        }
    }
    return NULL;
}
