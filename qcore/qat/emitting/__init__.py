"""Layers and operations of Keras as operators of TensorFlow Lite: ``table`` says which, the other files hold a family each."""
