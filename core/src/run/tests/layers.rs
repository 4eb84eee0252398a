//! Layers that are wrong.

use super::*;

#[test]
fn layers_and_losses_that_are_wrong() {
    let layers = |list: &str| problem(&LEAST.replace("[{ linear = 10 }]", list));
    assert_eq!(layers("[]"), "line 6, model.layers: found a list of 0, expected at least one layer");
    assert_eq!(layers("[\"rleu\"]"), "line 6, model.layers.0: found \"rleu\"; did you mean \"relu\"?");
    assert_eq!(
        layers("[\"attention\"]"),
        "line 6, model.layers.0: found \"attention\"; expected one of linear, conv2d, max_pool, avg_pool, \
         global_avg_pool, layer_norm, batch_norm, residual, flatten, dropout, sigmoid, tanh, relu, \
         leaky_relu, gelu"
    );
    assert_eq!(
        layers("[\n\"relu\",\n{ linear = 0 }]"),
        "line 8, model.layers.1.linear: found 0, expected a whole number from 1 to 16777216"
    );
    assert_eq!(
        layers("[\"linear\"]"),
        "line 6, model.layers.0: found the text \"linear\", expected the layer's width, such as { linear = 128 }"
    );
    assert_eq!(
        layers("[{ linear = { bias = true } }]"),
        "line 6, model.layers.0.linear.outputs: missing; expected the layer's width, such as { linear = 128 }"
    );
    assert_eq!(
        layers("[{ linear = 3, relu = 1 }]"),
        "line 6, model.layers.0: found a table of linear, relu, expected one name, one of linear, conv2d, \
         max_pool, avg_pool, global_avg_pool, layer_norm, batch_norm, residual, flatten, dropout, sigmoid, \
         tanh, relu, leaky_relu, gelu"
    );
    for rate in ["1.0", "-0.1", "nan", "\"x\""] {
        assert_eq!(
            layers(&format!("[{{ dropout = {rate} }}]")),
            format!(
                "line 6, model.layers.0.dropout: found {}, expected a rate of 0 or more and below 1, such as \
                 {{ dropout = 0.2 }}",
                if rate.starts_with('"') { "the text \"x\"".into() } else { rate.replace("nan", "NaN") }
            )
        );
    }
    assert_eq!(
        layers("[{ relu = 1 }]"),
        "line 6, model.layers.0.relu: found 1, expected a table without keys"
    );
    assert_eq!(
        problem(&LEAST.replace("\"cross_entropy\"", "\"crossentropy\"")),
        "line 5, model.loss: found \"crossentropy\"; did you mean \"cross_entropy\"?"
    );
    assert_eq!(
        problem(&LEAST.replace("\"cross_entropy\"", "{ huber = { delta = 0 } }")),
        "line 5, model.loss.huber.delta: found 0, expected a number above 0"
    );
}

#[test]
fn layers_of_pictures_that_are_wrong() {
    let layers = |list: &str| problem(&LEAST.replace("[{ linear = 10 }]", list));
    for (list, error) in [
        (
            "[\"conv2d\"]",
            "0: found the text \"conv2d\", expected the channels of the output, such as { conv2d = 32 }",
        ),
        (
            "[{ conv2d = { channels = 8, kernal = 3 } }]",
            "0.conv2d.kernal: unknown key; did you mean \"kernel\"?",
        ),
        ("[{ conv2d = 0 }]", "0.conv2d: found 0, expected a whole number from 1 to 16777216"),
        (
            "[{ conv2d = { channels = 8, stride = 0 } }]",
            "0.conv2d.stride: found 0, expected a whole number from 1 to 65536",
        ),
        (
            "[{ conv2d = { kernel = 3 } }]",
            "0.conv2d.channels: missing; expected the channels of the output, such as { conv2d = 32 }",
        ),
        (
            "[\"max_pool\"]",
            "0: found the text \"max_pool\", expected the side of the window, such as { max_pool = 2 } or \
             { avg_pool = 2 }",
        ),
        (
            "[{ avg_pool = { kernel = 3, padding = 2 } }]",
            "0.avg_pool.padding: found 2, expected at most half of the kernel, 1",
        ),
        ("[{ layer_norm = { eps = 0 } }]", "0.layer_norm.eps: found 0, expected a number above 0"),
        (
            "[{ batch_norm = { momentum = 0 } }]",
            "0.batch_norm.momentum: found 0, expected a share above 0 and at most 1",
        ),
        (
            "[{ batch_norm = { momentums = 0.2 } }]",
            "0.batch_norm.momentums: unknown key; did you mean \"momentum\"?",
        ),
        ("[\"maxpool\"]", "0: found \"maxpool\"; did you mean \"max_pool\"?"),
        ("[{ residual = [] }]", "0.residual: found a list of 0, expected at least one layer"),
        ("[{ residual = [\"relu\", \"rleu\"] }]", "0.residual.1: found \"rleu\"; did you mean \"relu\"?"),
        (
            "[\"residual\"]",
            "0: found the text \"residual\", expected a list of layers, such as \
             { residual = [{ conv2d = 32 }, \"relu\"] }",
        ),
    ] {
        assert_eq!(layers(list), format!("line 6, model.layers.{error}"));
    }
}
