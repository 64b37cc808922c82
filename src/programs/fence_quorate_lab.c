#include "lab/commands.h"

int
main(int argc, char **argv)
{
    return lab_fence_agent_main(argc, argv);
}
