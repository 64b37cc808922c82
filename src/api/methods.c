#include "api/methods.h"
#include "api/cluster_config.h"
#include "api/access.h"
#include "api/ha.h"
#include "api/nodes.h"
#include "api/qemu.h"
#include "api/storage.h"
#include "api/tasks.h"
#include "api/version.h"

/* Every area of the API; a new file of rows adds its table here. */
static const ApiMethod *const *const tables[] = {
    api_cluster_config_methods, api_version_methods, api_access_methods, api_nodes_methods,
    api_tasks_methods,          api_ha_methods,      api_qemu_methods,   api_storage_methods,
};

const ApiMethod *
api_method_at(size_t n)
{
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        for (const ApiMethod *const *row = tables[i]; *row != NULL; row++) {
            if (n-- == 0) {
                return *row;
            }
        }
    }
    return NULL;
}
