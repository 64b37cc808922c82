#include "sim/ha.h"
#include <stdio.h>
#include <string.h>
#include "sim/plan.h"
#include "sim/rules_check.h"
#include "sim/story.h"

static int
usage(void)
{
    fprintf(stderr, "usage: quorate-sim story FILE...\n"
                    "       quorate-sim events FILE\n"
                    "       quorate-sim rules|fence FILE...\n"
                    "       quorate-sim plan [--json] FILE\n");
    return 255;
}

/* "ok NAME", or "not ok NAME" and why. */
static bool
tell_result(const char *name, const char *why)
{
    printf("%s %s\n", why == NULL ? "ok" : "not ok", name);
    if (why != NULL)
        printf("%s\n", why);
    return why == NULL;
}

static bool
check_story(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Story) story = story_read(path, &error);

    if (story == NULL)
        return tell_result(path, error->message);
    g_autoptr(GPtrArray) events = story_run(story, &error);
    g_autofree char *why = events != NULL ? story_compare(story, events) : g_strdup(error->message);
    return tell_result(story->name, why);
}

static bool
check_rules(const char *path)
{
    g_autofree char *name = NULL;
    g_autofree char *why = rules_check(path, &name);

    return tell_result(name, why);
}

static bool
check_fence(const char *path)
{
    g_autofree char *name = NULL;
    g_autofree char *why = fence_check(path, &name);

    return tell_result(name, why);
}

static int
check_all(int count, char **paths, bool (*check)(const char *path))
{
    int failed = 0;

    for (int i = 0; i < count; i++)
        failed += !check(paths[i]);
    printf("%d passed, %d failed\n", count - failed, failed);
    return failed > 0;
}

static int
print_events(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Story) story = story_read(path, &error);
    g_autoptr(GPtrArray) events = story != NULL ? story_run(story, &error) : NULL;

    if (events == NULL) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    for (guint i = 0; i < events->len; i++)
        printf("%s\n", (char *)events->pdata[i]);
    return 0;
}

int
sim_ha_main(int argc, char **argv)
{
    const char *word = argv[0];

    if (g_str_equal(word, "story") && argc > 1)
        return check_all(argc - 1, argv + 1, check_story);
    if (g_str_equal(word, "events") && argc == 2)
        return print_events(argv[1]);
    if (g_str_equal(word, "rules") && argc > 1)
        return check_all(argc - 1, argv + 1, check_rules);
    if (g_str_equal(word, "fence") && argc > 1)
        return check_all(argc - 1, argv + 1, check_fence);
    if (g_str_equal(word, "plan") && argc > 1)
        return plan_main(argc, argv);
    return usage();
}
