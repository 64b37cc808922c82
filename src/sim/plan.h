#pragma once

/* `quorate-sim plan [--json] FILE`: one decision of the master for a cluster described as a story.
 */
int plan_main(int argc, char **argv);
