#pragma once

/** sim_cfs_main: `quorate-sim cfs …`; argv[0] is "cfs". Returns: the exit status. */
int sim_cfs_main(int argc, char **argv);
