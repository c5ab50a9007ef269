"""Operations on Tensors, by family; `lucid` exports them."""
