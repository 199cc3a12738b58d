package quern.run.workbench;

import java.util.Locale;

/** Where the time goes. */
public enum Phase {
    LOAD,
    CALIBRATE,
    HESSIAN,
    SOLVE,
    PACK,
    WRITE;

    /** As a person reads it. */
    public String label() {
        return this == HESSIAN ? "Hessian" : name().toLowerCase(Locale.ROOT);
    }
}
