/**
 * What is done to a model's numbers before codes are chosen, so that these lose less, and that leaves what the model computes as it
 * is. An axis: one file per transform, one line in {@link quern.transform.Transforms}, one contract test.
 *
 * <p>A transform is a function of the model and, if it is {@linkplain quern.transform.Transform#fitted() fitted}, of a vector for each
 * site, which was found from the statistics of the site's input. It gives a {@link quern.model.Model} whose tensors are the source's with
 * {@link quern.transform.Edit}s, computed when they are read, by ranges where rows do not depend on each other. Everything behind it
 * (calibration, methods, formats, verification, shards) sees that model and knows nothing of transforms.
 *
 * <h2>What must hold</h2>
 *
 * <ul>
 *   <li>The transformed model computes what the original does, but for rounding. Models of which this cannot be had are refused.
 *   <li>Tensors keep their names, shapes and types; a head that was the embedding may become a tensor of its own. So what is edited
 *       is rounded to the type that it is stored in, and what is calibrated is what is written.
 *   <li>What takes a factor, and who reads a value, follows from the family's program: no transform knows a family.
 *   <li>Nothing is done at inference: no rotation remains in the model.
 * </ul>
 */
@NullMarked
package quern.transform;

import org.jspecify.annotations.NullMarked;
