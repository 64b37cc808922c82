#pragma once

/** lab_main: quorate-lab [--lab NAME] WORD … Returns: the exit status. */
int lab_main(int argc, char **argv);

/** lab_fence_agent_main: fence_quorate_lab; options as key=value lines on standard input.
 *  Returns: 0 done, and status: on; 2 status: off; 1 failed. */
int lab_fence_agent_main(int argc, char **argv);
