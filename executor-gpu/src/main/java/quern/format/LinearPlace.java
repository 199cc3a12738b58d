package quern.format;

/**
 * Where a linear stands: what a format goes by that gives some linears more bits than others.
 *
 * @param modelType the family
 * @param name its full name
 * @param layer its layer
 * @param layers of the model
 * @param grouped query heads that share one of keys and values
 * @param experts of the layer; 0 for none
 * @param calibrated whether codes are chosen for what inputs calibration text has
 */
public record LinearPlace(
        String modelType,
        String name,
        int outputs,
        int inputs,
        int layer,
        int layers,
        int grouped,
        int experts,
        boolean calibrated) {}
