"""How good the predictions of a served model are, by labels that come later."""
