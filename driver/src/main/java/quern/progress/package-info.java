/**
 * What a person sees while a run is under way. On a terminal one line per stage is drawn again in place; elsewhere (a pipe, a
 * log, {@code TERM=dumb}) whole lines are written, seldom enough to be read.
 *
 * <p>A frame is one write: cursor up, each line followed by "erase to the end of the line". Lines are clipped by the terminal
 * itself (its wrapping is switched off for the frame), so no width needs to be known. Only the plain control sequences of
 * ECMA-48 are used, which every terminal since the VT100 understands.
 */
@NullMarked
package quern.progress;

import org.jspecify.annotations.NullMarked;
