/** Registers <pixstore-image>. For another tag, import element.js instead and call `PixstoreImageElement.define`. */
import { PixstoreImageElement } from './element.js'

PixstoreImageElement.define()
