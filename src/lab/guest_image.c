#include "lab/guest_image.h"
#include <string.h>
#include "lab/lab.h"
#include "sys/file.h"
#include "sys/process.h"

enum { BUILD_WAIT_MS = 600000 };

/* Beside the program when installed, else in the source tree that it was built from. */
static char *
find_builder(void)
{
    g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = g_path_get_dirname(program);
    char *installed = g_build_filename(folder, "../share/quorate/tools/mkguest", NULL);

    if (g_file_test(installed, G_FILE_TEST_IS_EXECUTABLE)) {
        return installed;
    }
    g_free(installed);
    return g_strdup(LAB_SOURCE_DIR "/tools/mkguest");
}

char *
lab_guest_image(GError **error)
{
    g_autofree char *root = lab_root_dir(), *builder = find_builder();
    g_autofree char *folder = g_build_filename(root, "guest", NULL);
    g_autofree char *lock_path = g_build_filename(folder, "lock", NULL);
    g_autoptr(QFileLock) lock = NULL;
    const char *argv[] = { builder, folder, NULL };

    if (!q_file_make_dir(folder, 0755, error)
        || (lock = q_file_lock(lock_path, BUILD_WAIT_MS, error)) == NULL) {
        return NULL;
    }
    /* The builder does nothing when what is there was made from the same sources. */
    if (!q_run_ok(argv, &(QRunOptions){ .timeout_ms = BUILD_WAIT_MS }, NULL, error)) {
        q_prefix_error(error, "making the guest image: ");
        return NULL;
    }
    return g_steal_pointer(&folder);
}
