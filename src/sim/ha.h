#pragma once

/** sim_ha_main: `quorate-sim story|events|rules|plan|fuzz …`; argv[0] is the word. Returns: the
 * exit status. */
int sim_ha_main(int argc, char **argv);
