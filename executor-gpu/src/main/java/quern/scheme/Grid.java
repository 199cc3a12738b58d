package quern.scheme;

import java.io.Serializable;

/** What codes stand for before they are scaled: w = scale * (value of the code - zero). */
public sealed interface Grid extends Serializable permits IntegerGrid, LevelGrid {
    /** Bits of a code. */
    int bits();

    /** The smallest code that is used. */
    int lowestCode();

    /** The largest. */
    int highestCode();

    /** Whether zero points are the same everywhere. */
    boolean symmetric();

    /** The zero point of a symmetric grid. */
    int middle();

    /** The smallest zero point that a method chooses. */
    default int lowestZero() {
        return middle();
    }

    /** The largest. */
    default int highestZero() {
        return middle();
    }

    /** What each code stands for; not to be written to. */
    float[] levels();

    /** The largest magnitude on a grid of scale 1. */
    float reach();
}
