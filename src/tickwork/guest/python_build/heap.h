#ifndef TICKWORK_HEAP_H
#define TICKWORK_HEAP_H

/* Serves Python's small blocks from now on. Blocks that it has keep being freed to where they came from. */
void heap_begin(void);

#endif
