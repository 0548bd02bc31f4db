/* SIGBUS: a file that is mapped was cut short by another program, or its disk failed. There is no way back,
 * but the user is told which file it was, and the exit status is that of trouble with the machine. */
#ifndef CLI_BUS_H
#define CLI_BUS_H

void bus_catch(void); /* from now on, for the whole process */

#endif
