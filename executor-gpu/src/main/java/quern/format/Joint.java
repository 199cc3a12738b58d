package quern.format;

/** How a tensor of a linear is made of those of panels of its rows. */
public enum Joint {
    /** One below the other: its bytes are theirs, in their order. */
    ROWS,

    /** Side by side: each row of it is made of theirs. */
    COLUMNS,

    /** All have the same. */
    SAME
}
