package quern.run;

/** Where the time goes. */
public enum Phase {
    LOAD,
    CALIBRATE,
    HESSIAN,
    SOLVE,
    PACK,
    WRITE
}
